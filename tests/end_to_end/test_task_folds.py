"""A run that holds single tasks out, beside one that holds a cluster out: folders, scores, report, leaks, export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from flantune.cli.export import command as export
from flantune.cli.tasks import command as tasks
from flantune.errors import ConfigError
from flantune.settings.run_file import load_run_file
from tests.end_to_end.small_world import write_small_world

pytestmark = pytest.mark.slow
FOLDS = ["--set", 'holdout.folds=[["topic"]]', "--set", 'holdout.task_folds=[["mood"]]']


def load(folder: Path, *overrides: str):
    run_file = write_small_world(folder, steps=2, rows=30)
    given = ('holdout.folds=[["topic"]]', 'holdout.task_folds=[["mood"]]', "evaluation.shots=[0]", *overrides)
    return load_run_file(run_file, overrides=given)


def test_a_run_measures_the_task_under_its_cluster(tmp_path: Path) -> None:
    from flantune.commands.run import run

    done = run(load(tmp_path), out=tmp_path / "out")
    mixture = json.loads((tmp_path / "out/folds/task-mood/mixture.json").read_text())
    assert mixture["held_out"] == ["task mood"] and mixture["clusters"] == ["sentiment"]
    assert mixture["train"] == ["animal", "echo", "tone"] and mixture["unseen"] == ["mood"]
    assert mixture["breaks"] == ["a task of the same cluster is trained on"]
    assert {(one.name, one.fold) for one in done.results.tasks} == {("animal", "topic"), ("mood", "task-mood")}
    clusters = {(one.cluster, one.fold): one.raw.exams for one in done.results.clusters}
    assert clusters == {("topic", "topic"): ("animal",), ("sentiment", "task-mood"): ("mood",)}
    assert done.results.verdict.tasks == 2
    assert "task mood" in (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "task mood" in (tmp_path / "out/folds/task-mood/model/README.md").read_text(encoding="utf-8")


def test_a_misspelled_task_is_found_before_any_data_is_read(tmp_path: Path) -> None:
    from flantune.commands.run import run

    file = load(tmp_path, 'holdout.task_folds=[["mod"]]', 'data.missing="skip"')
    with pytest.raises(ConfigError, match='no task "mod"; did you mean "mood"'):
        run(file, out=tmp_path / "out")


def test_leaks_and_export_know_the_fold(tmp_path: Path) -> None:
    write_small_world(tmp_path)
    shown = CliRunner().invoke(tasks, ["leaks", str(tmp_path / "run.toml"), *FOLDS])
    assert shown.exit_code == 0, shown.output
    assert "── held out: task mood\n   on purpose: a task of the same cluster is trained on" in shown.output
    out = tmp_path / "mood.jsonl"
    args = ["data", str(tmp_path / "run.toml"), *FOLDS, "--fold", "1", "--count", "40", "--out", str(out)]
    written = CliRunner().invoke(export, [*args, "--run", str(tmp_path / "r")])
    assert written.exit_code == 0, written.output
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert {row["task"] for row in rows} == {"tone", "animal", "echo"}
