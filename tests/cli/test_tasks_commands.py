"""``flantune tasks`` and ``flantune templates``: what they say about shipped tasks and one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.end_to_end.small_world import write_small_world

from flantune.cli import tasks as tasks_cli
from flantune.cli import templates as templates_cli
from flantune.errors import ConfigError, FlantuneError, SourceError
from flantune.mixture.leaks import explain_fold, kin_groups
from flantune.mixture.taxonomy import load_taxonomy
from flantune.prompts.render import render
from flantune.prompts.spans import render_spans
from flantune.report.task_sheet import show_templates
from flantune.tasks.catalog import example_rows, find_task, tasks_of
from flantune.tasks.regroup import Grouping, load_grouping, regroup
from flantune.tasks.taskfile import load_task_file

NAMES = ("rte", "cb", "copa", "boolq", "gsm8k")


def tasks(*args: str) -> Result:
    return CliRunner().invoke(tasks_cli.command, list(args))


def write_run(folder: Path, *names: str, folds: str) -> Path:
    path = folder / "run.toml"
    listed = json.dumps(list(names))
    path.write_text(f'[data]\ncollection = "flan2021"\ninclude = {listed}\n[holdout]\nfolds = {folds}\n')
    return path


@pytest.mark.parametrize("name", NAMES)
def test_show_tells_a_tasks_definition(name: str) -> None:
    result = tasks("show", name, "--json")
    assert result.exit_code == 0, result.output
    sheet = json.loads(result.stdout)
    task = find_task(name)
    assert sheet["clusters"] == list(task.clusters) and sheet["licence"] == task.licence
    assert [one["name"] for one in sheet["templates"]] == [one.name for one in task.templates]
    assert set(sheet["slots"]) >= set(example_rows(task)[0].fields)
    assert sheet["example"]["inputs"] and "{" not in sheet["example"]["targets"]


def test_show_prints_every_template_and_an_example() -> None:
    text = tasks("show", "rte").stdout
    task = find_task("rte")
    for template in task.templates:
        assert f"── template {template.name}" in text
    assert "aps/super_glue:rte" in text and "── example, row 0" in text


def test_show_finds_a_task_of_ones_own(tmp_path: Path) -> None:
    run = write_small_world(tmp_path)
    sheet = json.loads(tasks("show", "mood", str(run), "--json").stdout)
    assert sheet["hub"] == "" and "mood/train.jsonl" in sheet["source"]
    assert sheet["example"]["inputs"].endswith("OPTIONS:\n- bad\n- good")
    assert sheet["splits"] == {"train": "train", "dev": "dev", "test": "test"}


def test_shipped_rows_may_hold_any_line_separator_and_a_bad_one_is_named_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\nclusters = ["c"]\nkind = "generation"\n[source]\nhub = "me/mine"\n[splits]\ntrain = "train"\n'
        '[fields]\ntext = "text"\n[answer]\ncolumn = "label"\ndrop = ["none"]\n[[templates]]\ninputs = "{text}"\n'
    )
    rows = [{"text": "a\u2028b\x85c", "label": "x"}, {"text": "y", "label": "none"}, {"text": "z"}]
    path = tmp_path / "rows/mine.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows[:2]), encoding="utf-8")
    task = load_task_file(tmp_path / "mine.toml")
    assert [example.fields["text"] for example in example_rows(task)] == ["a\u2028b\x85c"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(SourceError, match="row 2: missing column"):
        example_rows(task)


def test_a_misspelled_task_is_suggested() -> None:
    with pytest.raises(ConfigError) as caught:
        find_task("rtee")
    assert caught.value.hint == 'did you mean "rte"?'


def test_list_tells_hub_and_licence_of_a_collection() -> None:
    rows = json.loads(tasks("list", "--collection", "flan2021", "--json").stdout)
    rte = next(row for row in rows if row["name"] == "rte")
    assert rte["hub"] == "aps/super_glue:rte" and rte["licence"] and rte["templates"] == 10
    assert {"clusters", "family", "kind", "metrics", "inverted"} <= set(rte)


def test_list_reads_a_run_file_too(tmp_path: Path) -> None:
    result = tasks("list", str(write_small_world(tmp_path)))
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["animal", "echo", "mood", "tone"]
    assert "4 tasks in 3 clusters, 12 templates" in result.stderr


def test_list_wants_one_of_two() -> None:
    for run_file, collection in ((None, ()), (Path("run.toml"), ("flan2021",))):
        with pytest.raises(ConfigError, match="one of the two"):
            tasks_of(run_file, collection=collection)


def test_leaks_explains_every_exclusion(tmp_path: Path) -> None:
    names = ("qnli", "rte", "squad_v1", "mrpc", "imdb", "sst2")
    run = write_run(tmp_path, *names, folds='[["natural language inference"]]')
    result = tasks("leaks", str(run), "--json")
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    (fold,) = shown["folds"]
    assert sorted(fold["unseen"]) == ["qnli", "rte"] and sorted(fold["train"]) == ["imdb", "sst2"]
    excluded = {one["task"]: one for one in fold["excluded"]}
    assert set(excluded) == {"squad_v1", "mrpc"}
    assert [link["task"] for link in excluded["squad_v1"]["connections"]] == ["qnli"]
    assert [link["task"] for link in excluded["mrpc"]["connections"]] == ["qnli", "rte"]
    assert [set(group["tasks"]) for group in shown["kin"]] == [{"qnli", "squad_v1"}]
    text = tasks("leaks", str(run)).stdout
    assert "squad_v1 (reading comprehension): it is kin to the unseen" in text


def test_leaks_accounts_for_every_task_of_the_collection() -> None:
    everything = tasks_of(None, collection=("flan2021",))
    for cluster in ("natural language inference", "coreference", "closed-book qa"):
        fold = explain_fold(everything, [cluster], taxonomy=load_taxonomy(None))
        named = [*fold.train, *fold.unseen, *(one.task for one in fold.excluded)]
        assert sorted(named) == sorted(task.name for task in everything)
        assert all(one.reason for one in fold.excluded)


def test_kin_by_family_alone_is_a_group() -> None:
    both = [find_task("anli_r1"), find_task("anli_r2"), find_task("rte")]
    groups = kin_groups(both, load_taxonomy(None))
    assert [group.tasks for group in groups] == [("anli_r1", "anli_r2")]


def test_leaks_without_folds_says_what_makes_them(tmp_path: Path) -> None:
    run = write_run(tmp_path, "rte", folds="[]")
    result = tasks("leaks", str(run))
    assert isinstance(result.exception, ConfigError) and "flantune splits" in result.exception.hint


@pytest.mark.parametrize("name", NAMES)
def test_spans_joined_are_the_prompt(name: str) -> None:
    task = find_task(name)
    for example in example_rows(task):
        for template in task.templates:
            spans, prompt = render_spans(task, example, template), render(task, example, template, split="train")
            assert "".join(span.text for span in spans.inputs) == prompt.inputs
            assert "".join(span.text for span in spans.targets) == prompt.targets
            assert all(span.text == example.fields[span.slot] for span in spans.inputs if span.slot in example.fields)


def test_preview_renders_every_template() -> None:
    result = CliRunner().invoke(templates_cli.command, ["preview", "cb", "--json"])
    shown = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["template"] for one in shown] == [one.name for one in find_task("cb").templates]
    assert sum(one["is_inverted"] for one in shown) == sum(one.is_inverted for one in find_task("cb").templates)


def test_preview_colors_slots_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in CliRunner().invoke(templates_cli.command, ["preview", "rte"]).stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    colored = CliRunner().invoke(templates_cli.command, ["preview", "rte"]).stdout
    premise = example_rows(find_task("rte"))[0].fields["premise"]
    assert f"m{premise}\x1b[0m" in colored
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in CliRunner().invoke(templates_cli.command, ["preview", "rte"]).stdout


def test_preview_of_a_row_that_is_not_there() -> None:
    with pytest.raises(FlantuneError, match="there are 3 rows"):
        list(show_templates(find_task("rte"), row=99))


def test_check_and_lint_still_work(tmp_path: Path) -> None:
    run = write_small_world(tmp_path)
    checked = tasks("check", str(run))
    assert checked.exit_code == 0 and "60 kept" in checked.stdout
    linted = CliRunner().invoke(templates_cli.command, ["lint", str(run)])
    assert "findings in 12 templates of 4 tasks" in linted.stderr


def test_a_grouping_renames_clusters_and_drops_who_it_does_not_know() -> None:
    some = [find_task("gsm8k"), find_task("rte"), find_task("boolq")]
    finer = load_grouping("flan2021_clusters17")
    assert [(task.name, task.clusters) for task in regroup(some, finer)] == [
        ("boolq", ("reading comprehension",)),
        ("rte", ("entailment",)),
    ]
    assert [task.name for task in regroup(some, finer, keep_others=True)] == ["boolq", "rte", "gsm8k"]
    with pytest.raises(ConfigError, match="knows none"):
        regroup(some, Grouping(clusters={"a": ("x",)}))


def test_a_wrong_grouping_names_all_its_problems(tmp_path: Path) -> None:
    path = tmp_path / "g.toml"
    path.write_text('descripton = "x"\n[clusters]\na = "rte"\nb = []\n')
    with pytest.raises(ConfigError) as caught:
        load_grouping(path)
    for problem in ('did you mean "description"?', "clusters.a", "clusters.b"):
        assert problem in str(caught.value)
    with pytest.raises(ConfigError, match="no grouping"):
        load_grouping("flan2021_clusters71")
