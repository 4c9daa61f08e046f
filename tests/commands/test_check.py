"""``flantune check``: what a run would stop at is said before, all at once, and what it costs is what it takes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.end_to_end.small_world import write_small_world

from flantune.cli.main import cli
from flantune.commands.check import RunCheck, check_run_file
from flantune.commands.check_lines import check_lines
from flantune.commands.init import write_project
from flantune.commands.run import run
from flantune.settings.run_file import load_run_file


def check(folder: Path, *overrides: str, contamination: bool = False, fold: int = 0) -> RunCheck:
    file = load_run_file(folder / "run.toml", overrides=overrides)
    return check_run_file(file, cache=folder / "cache", contamination=contamination, fold=fold)


def said(found: RunCheck, severity: str) -> str:
    return "\n".join(f"{one.text}\n{one.hint}" for one in found.found if one.severity == severity)


def test_a_sound_run_has_no_error(world: Path) -> None:
    found = check(world, contamination=True)
    assert found.errors == 0, said(found, "error")
    assert found.tasks == 4 and len(found.rows) == 4 and found.missing == ()
    assert [fold.held_out for fold in found.folds] == [("sentiment",), ("topic",)]
    assert found.folds[0].train == ("animal", "echo")
    assert sum(one.share for one in found.mixture) == pytest.approx(1)
    assert found.overlapping is not None and set(found.overlapping) == {"mood", "tone"}
    assert found.licences == {"unknown": pytest.approx(1)}


def test_what_it_counts_is_what_the_run_takes(world: Path, tmp_path: Path) -> None:
    found = check(world, 'holdout.folds=[["sentiment"]]')
    done = run(load_run_file(world / "run.toml", overrides=['holdout.folds=[["sentiment"]]']), out=tmp_path / "run")
    training = json.loads((done.folder / "folds/sentiment/training.json").read_text())
    assert found.cost is not None and found.lengths is not None
    assert found.cost.draws == pytest.approx(training["cursor"], rel=0.1)
    tokens = training["counts"]["input_tokens"] + training["counts"]["target_tokens"]
    assert found.cost.training.tokens == pytest.approx(tokens, rel=0.1)
    assert found.cost.speed is None and found.cost.total.seconds == 0
    assert found.cost.detectable is not None and found.cost.detectable.rows == 24
    samples = len(list((done.folder / "base/samples").glob("*.parquet")))
    assert samples == 2 and found.cost.questions > 0
    assert found.cost.weights == sum(
        weight.numel() for weight in load_weights(done.folder / "folds/sentiment/model").values()
    )


def load_weights(folder: Path) -> dict:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_all_troubles_come_at_once(tmp_path: Path) -> None:
    write_small_world(tmp_path)
    (tmp_path / "mood/train.jsonl").write_text('{"text": "no answer"}\n' * 20)
    (tmp_path / "echo/train.jsonl").unlink()
    (tmp_path / "echo/dev.jsonl").unlink()
    (tmp_path / "echo/test.jsonl").unlink()
    found = check(tmp_path, 'holdout.folds=[["sentiment"], ["weather"]]')
    errors = said(found, "error")
    assert found.errors >= 3
    assert "mood" in errors and "weather" in errors and "1 task" in errors
    (missing,) = found.missing
    assert missing.task == "echo" and 0 < missing.share < 1
    assert found.mixture, "what can be looked at is looked at"


def test_without_any_data_that_alone_is_said(tmp_path: Path) -> None:
    write_small_world(tmp_path)
    for path in tmp_path.glob("*/*.jsonl"):
        path.unlink()
    found = check(tmp_path, 'data.missing="skip"')
    assert [one.text for one in found.found if one.severity == "error"] == ["no task has data"]
    assert len(found.missing) == 4 and found.mixture == () and found.folds == ()


def test_a_missing_task_is_no_error_where_it_may_be_skipped(tmp_path: Path) -> None:
    write_small_world(tmp_path)
    for split in ("train", "dev", "test"):
        (tmp_path / f"echo/{split}.jsonl").unlink()
    found = check(tmp_path, 'data.missing="skip"')
    assert "have no data" in said(found, "warning") or "has no data" in said(found, "warning")
    assert "no data" not in said(found, "error")


def test_the_most_that_is_missing_is_the_share_of_a_task_of_the_largest_rate(tmp_path: Path) -> None:
    write_small_world(tmp_path, rows=50)
    for split in ("train", "dev", "test"):
        (tmp_path / f"echo/{split}.jsonl").unlink()
    (missing,) = check(tmp_path, 'data.missing="skip"', "mixture.max_rate=150").missing
    assert missing.share == pytest.approx(150 / (150 + 50))


def test_where_nothing_is_held_out_everything_is_trained_on_and_measured(world: Path) -> None:
    found = check(world, "holdout.folds=[]")
    assert said(found, "error") == ""
    assert len(found.mixture) == 4 and found.cost is not None and found.cost.questions > 0
    assert [(one.held_out, len(one.train)) for one in found.folds] == [((), 4)]


def test_a_fold_that_is_not_there_is_said_once_and_another_looked_at(world: Path) -> None:
    found = check(world, fold=5)
    assert said(found, "error").count("there is no fold 5") == 1 and found.mixture
    unknown = check(world, 'holdout.folds=[["weather"]]')
    assert said(unknown, "error").count('no task belongs to the cluster "weather"') == 1


def test_a_cluster_whose_only_task_cannot_be_read_is_not_said_to_be_unknown(tmp_path: Path) -> None:
    write_small_world(tmp_path)
    clusters = '[["topic"]]'
    (tmp_path / "animal/train.jsonl").write_text('{"text": "no answer"}\n' * 20)
    assert "animal" in said(check(tmp_path, f"holdout.folds={clusters}"), "error")
    assert "belongs to the cluster" not in said(check(tmp_path, f"holdout.folds={clusters}"), "error")
    for split in ("train", "dev", "test"):
        (tmp_path / f"animal/{split}.jsonl").unlink()
    skipped = check(tmp_path, f"holdout.folds={clusters}", 'data.missing="skip"')
    assert 'no task belongs to the cluster "topic"' in said(skipped, "error")


def test_benchmarks_alone_may_be_held_out(world: Path) -> None:
    found = check(world, "holdout.folds=[]", 'holdout.benchmarks=["mmlu"]')
    assert found.errors == 0, said(found, "error")
    assert len(found.mixture) == 4 and found.cost is not None and found.cost.questions == 0


def test_targets_that_do_not_fit_and_a_model_that_is_not_there(world: Path) -> None:
    assert "packing.max_target_tokens" in said(check(world, "packing.max_target_tokens=1"), "error")
    text = (world / "run.toml").read_text(encoding="utf-8")
    absent = text.replace(re.search(r"scratch = .*", text)[0], 'path = "no/such/folder"')
    (world / "absent.toml").write_text(absent, encoding="utf-8")
    found = check_run_file(load_run_file(world / "absent.toml"), cache=world / "cache", contamination=False)
    assert "no/such/folder" in said(found, "error") and found.mixture


def test_what_licences_leave_out_is_counted(tmp_path: Path) -> None:
    (path, *_) = write_project(tmp_path).files
    text = (tmp_path / "tasks/reviews.toml").read_text(encoding="utf-8")
    (tmp_path / "tasks/more.toml").write_text(
        text.replace('"short_reviews"', '"bound"').replace("CC0 1.0", "CC BY-NC 4.0"), encoding="utf-8"
    )
    file = load_run_file(path, overrides=('data.licences="commercial"',))
    found = check_run_file(file, cache=tmp_path / "cache", contamination=False)
    assert dict(found.left_out) == {"its licence does not allow commercial use": 1}
    assert "bound" not in {one.task for one in found.rows}


def test_lines_fit_a_page(world: Path) -> None:
    lines = list(check_lines(check(world, contamination=True)))
    assert len(lines) <= 60
    assert lines[-1].startswith("0 errors")


def test_tasks_that_break_one_rule_are_told_in_one_line(tmp_path: Path) -> None:
    write_small_world(tmp_path)
    for name in ("mood", "tone"):
        path = tmp_path / f"{name}_task.toml"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace('text = "text"', 'text = "text"\nother = "answer"'), encoding="utf-8")
    found = check(tmp_path)
    rules = [one.rule for one in found.found if one.rule == "unused-field"]
    lines = [line for line in check_lines(found) if "unused-field" in line]
    assert len(rules) == 2 and len(lines) == 1
    assert "and 1 more like it" in lines[0]


def test_parts_are_added_up_and_tasks_too(tmp_path: Path) -> None:
    write_small_world(tmp_path)
    parts = "\n[mixture.parts.zero]\nshare = 3\ntrain_shots = [0]\n[mixture.parts.few]\nshare = 1\ntrain_shots = [2]\n"
    with (tmp_path / "run.toml").open("a", encoding="utf-8") as file:
        file.write(parts)
    found = check(tmp_path)
    assert len(found.mixture) == 4 and {one.part for one in found.mixture} == {"zero", "few"}
    lines = "\n".join(check_lines(found))
    assert "zero 75.0%, few 25.0%" in lines and "2 tasks; largest:" in lines


def test_the_command_ends_with_one_where_a_run_would_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    good = CliRunner().invoke(cli, ["check", "run.toml", "--json"])
    assert good.exit_code == 0, good.output
    assert json.loads(good.stdout)["errors"] == 0
    bad = CliRunner().invoke(cli, ["check", "run.toml", "--set", 'holdout.folds=[["weather"]]'])
    assert bad.exit_code == 1 and "a run would stop" in bad.stdout
