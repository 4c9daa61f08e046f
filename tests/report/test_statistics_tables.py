"""The tables of statistics, from results as ``summarize`` writes them today, and from those of older versions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from flantune.evaluation.samples import samples_path, write_samples
from flantune.report import tables
from flantune.report.console import results_table
from flantune.report.page import render_report
from flantune.report.samples import Judge, collect_samples, is_right
from flantune.runs.files import read_run
from flantune.settings.config import EvaluationSettings
from flantune.types import Sample

RIGHT_BEFORE, RIGHT_AFTER = 20, 45


def said(row: int, number: int, template: str) -> Sample:
    return Sample(
        task="sums", split="test", row=row, template=template, shots=0, inputs=f"{row}+0?", references=(str(row),),
        prediction=f"That makes {number}.",
    )  # fmt: skip


def picked(row: int, *, right: bool) -> Sample:
    return Sample(
        task="facts", split="test", row=row, template="a", shots=0, inputs="Is it?", options=("no", "yes"), answer=1,
        references=("yes",), scores=(-2.0, -1.0) if right else (-1.0, -2.0), lengths=(1, 1),
    )  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Sums written out, and facts; a fifth of the facts stood in training."""
    for folder, right in ((tmp_path / "base", RIGHT_BEFORE), (tmp_path / "folds" / "f" / "tuned", RIGHT_AFTER)):
        sums = [said(row, row if row < right else -row - 1, template) for template in "ab" for row in range(60)]
        write_samples(samples_path(folder, "sums"), sums)
        write_samples(samples_path(folder, "facts"), [picked(row, right=row % 60 < right) for row in range(60)])
    fold = FoldInput(
        name="f", clusters=("c",), unseen=("sums", "facts"), flagged={"facts": frozenset(range(12))}
    )  # fmt: skip
    tasks = [
        TaskInfo(name="sums", clusters=("c",), kind="generation", metrics=("number_match", "exact_match", "bleu")),
        TaskInfo(name="facts", clusters=("c",), kind="classification", metrics=("accuracy", "mcc")),
    ]
    results = summarize(
        tmp_path, folds=[fold], tasks=tasks, settings=EvaluationSettings(), name="made", seed=1
    )  # fmt: skip
    (tmp_path / "results.json").write_text(json.dumps(results))
    return tmp_path


def cells(table: tables.Table, row: int = 0) -> dict[str, str]:
    return {c.heading: cell.text for c, cell in zip(table.columns, table.rows[row], strict=True)}


def parsed(folder: Path):
    return parse_results(json.loads((folder / "results.json").read_text()))


def test_every_table_of_differences_says_p_and_what_it_could_see(made):
    results = parsed(made)
    for table in (tables.overall_table(results), tables.cluster_table(results)):
        assert {"p", "Detectable"} <= set(cells(table))
        assert cells(table)["Detectable"].startswith("±")
    task = cells(tables.task_table(results.tasks, level="95%"))
    assert (task["p"], task["q"]) == ("< 0.001", "< 0.001")
    tests = cells(tables.significance_table(results.tasks, level="95%"))
    assert tests["McNemar p"] == "< 0.001"
    assert tests["Bootstrap p"] == "0.002"
    assert tests["Bootstrap interval"].startswith("+")


def test_clean_scores_stand_beside_those_of_all_rows(made):
    table = tables.clean_table(parsed(made).tasks)
    by_task = {row[0].text: cells(table, at) for at, row in enumerate(table.rows)}
    assert (by_task["facts"]["Flagged"], by_task["sums"]["Flagged"]) == ("12", "0")
    assert (by_task["facts"]["Base, all"], by_task["facts"]["Base, clean"]) == ("33.3", "16.7")
    assert by_task["sums"]["Base, all"] == by_task["sums"]["Base, clean"]


def test_rules_are_shown_for_options_only_and_signatures_for_bleu(made):
    results = parsed(made)
    rules = tables.rule_table(results.tasks, normalization="sum")
    assert {row[0].text for row in rules.rows} == {"facts"}
    assert {"First", "Expected", "Byte"} <= set(cells(rules))
    metrics = [row for row in tables.metric_table(results.tasks).rows if row[2].text == "bleu"]
    assert metrics[0][-1].text.startswith("nrefs:1|case:mixed|eff:no|tok:intl")


def test_single_accuracies_have_their_interval(made):
    (row, *_) = tables.template_table(parsed(made).tasks).rows
    assert row[4].text == "21.7 to 46.7"


def test_right_in_the_browser_is_right_by_the_tasks_metric(made):
    """exact_match would call every one of these answers wrong."""
    group = next(g for g in collect_samples(read_run(made)).groups if g["task"] == "sums")
    gained = 2 * (RIGHT_AFTER - RIGHT_BEFORE)
    assert group["totals"] == {"fixed": gained, "broken": 0, "right": 2 * RIGHT_BEFORE, "wrong": 120 - 90}


def test_what_counts_as_right():
    sample = said(7, 7, "a")
    assert is_right(sample, Judge(metric="number_match"))
    assert not is_right(sample, Judge(metric="exact_match"))
    assert not is_right(sample, Judge())
    assert is_right(replace(sample, prediction="7"), Judge(metric="no such metric"))
    half = replace(sample, references=("one two three four",), prediction="one two")
    assert is_right(half, Judge(metric="token_f1"))
    assert not is_right(replace(half, prediction="one"), Judge(metric="token_f1"))
    assert not is_right(half, Judge(metric="bleu"))
    assert is_right(replace(half, prediction="one two three four"), Judge(metric="bleu"))
    cut = replace(sample, prediction=": seven Q: 8+0?", references=("seven",))
    assert is_right(cut, Judge(metric="exact_match", answer_parsing="flan2021"))
    assert not is_right(cut, Judge(metric="exact_match"))
    names = replace(picked(0, right=True), options=("Bo", "Bo B."), references=("Bo", "Bo B."), answer=0)
    assert is_right(names, Judge(metric="exact_match"))
    assert not is_right(names, Judge(metric="accuracy"))


def test_the_page_and_the_terminal_show_them(made):
    page = render_report(read_run(made))
    for anchor in ("table-tests", "table-clean", "table-rules"):
        assert f'id="{anchor}"' in page
    from rich.console import Console

    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(results_table(json.loads((made / "results.json").read_text())))
    text = console.export_text()
    assert "made, zero-shot" in text
    assert "detectable" in text and "…" not in text


def test_results_of_the_first_version_are_still_shown(made):
    old = json.loads((made / "results.json").read_text())
    old["schema"] = 1
    for name in ("protocol", "answer_parsing"):
        del old[name]
    for task in old["tasks"]:
        for name in ("groups", "rows_sha256", "bootstrap", "q", "clean", "signatures"):
            del task[name]
        for name in ("p", "detectable"):
            del task["difference"][name]
        for model in task["models"].values():
            for name in ("range", "worst", "worst_template", "agreement", "tie_rules"):
                del model[name]
    results = parse_results(old)
    assert cells(tables.task_table(results.tasks, level="95%"))["q"] == "–"
    assert tables.clean_table(results.tasks).rows == ()
    (made / "results.json").write_text(json.dumps(old))
    assert "table-tasks" in render_report(read_run(made))
