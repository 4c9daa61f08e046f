"""The tables of statistics, from results as they are written; those of an older version say that they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flantune.errors import SourceError
from flantune.evaluation.run_samples import FoldInput, TaskInfo, score_samples
from flantune.evaluation.samples import samples_path, write_samples
from flantune.report import score_tables, tables, template_tables
from flantune.report.console import console_tables
from flantune.report.page import render_run
from flantune.report.samples import asked_in_run, collect_samples, is_right, metric_grader
from flantune.report.sides import shown_tasks
from flantune.runs.files import read_results, read_run
from flantune.runs.folder import RunFolder
from flantune.settings.config import EvaluationSettings
from flantune.settings.json_file import write_value
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
    results = score_samples(
        tmp_path, folds=[fold], tasks=tasks, settings=EvaluationSettings(), name="made", seed=1
    )  # fmt: skip
    write_value(RunFolder(tmp_path).results, results)
    return tmp_path


def cells(table: tables.Table, row: int = 0) -> dict[str, str]:
    return {c.heading: cell.text for c, cell in zip(table.columns, table.rows[row], strict=True)}


def shown(folder: Path):
    results = read_results(folder)
    return results, shown_tasks(results)


def test_every_table_of_differences_says_p_and_what_it_could_see(made):
    results, shown_ones = shown(made)
    for table in (score_tables.overall_table(results), score_tables.cluster_table(results)):
        assert {"p", "Detectable"} <= set(cells(table))
        assert cells(table)["Detectable"].startswith("±")
    task = cells(score_tables.task_table(results, shown_ones))
    assert (task["Task"], task["p"], task["q"]) == ("sums", "< 0.001", "< 0.001")
    tests = cells(score_tables.difference_table(results, shown_ones))
    assert tests["McNemar p"] == "< 0.001"
    assert tests["Bootstrap p"] == "0.002"
    assert tests["Bootstrap interval"].startswith("+")


def test_clean_scores_stand_beside_those_of_all_rows(made):
    table = template_tables.clean_table(*shown(made))
    by_task = {row[0].text: cells(table, at) for at, row in enumerate(table.rows)}
    assert (by_task["facts"]["Flagged"], by_task["sums"]["Flagged"]) == ("12", "0")
    assert (by_task["facts"]["Base, all"], by_task["facts"]["Base, clean"]) == ("33.3", "16.7")
    assert by_task["sums"]["Base, all"] == by_task["sums"]["Base, clean"]


def test_rules_are_shown_for_options_only_and_signatures_for_bleu(made):
    results, shown_ones = shown(made)
    rules = template_tables.rule_table(results, shown_ones)
    assert {row[0].text for row in rules.rows} == {"facts"}
    assert {"First", "Expected", "Byte"} <= set(cells(rules))
    metrics = [row for row in template_tables.metric_table(results, shown_ones).rows if row[1].text == "bleu"]
    assert metrics[0][-1].text.startswith("nrefs:1|case:mixed|eff:no|tok:intl")


def test_single_accuracies_have_their_interval(made):
    rows = template_tables.template_table(*shown(made)).rows
    assert next(row for row in rows if row[0].text == "sums")[3].text == "21.7 to 46.7"


def test_right_in_the_browser_is_right_by_the_tasks_metric(made):
    """exact_match would call every one of these answers wrong."""
    group = next(
        g for g in collect_samples(asked_in_run(read_run(made)), root=made.resolve()).groups if g["task"] == "sums"
    )
    gained = 2 * (RIGHT_AFTER - RIGHT_BEFORE)
    assert group["totals"] == {"fixed": gained, "broken": 0, "right": 2 * RIGHT_BEFORE, "wrong": 120 - 90}


def test_what_counts_as_right():
    def judged(sample: Sample, metric: str, parsing: str = "none") -> bool:
        kind = "classification" if sample.scores else "generation"
        return is_right(sample, metric_grader(kind, metric, "sum", answer_parsing=parsing))

    sample = said(7, 7, "a")
    assert judged(sample, "number_match")
    assert not judged(sample, "exact_match")
    assert not judged(sample, "")
    assert judged(replace(sample, prediction="7"), "no such metric")
    half = replace(sample, references=("one two three four",), prediction="one two")
    assert judged(half, "token_f1")
    assert not judged(replace(half, prediction="one"), "token_f1")
    assert not judged(half, "bleu")
    assert judged(replace(half, prediction="one two three four"), "bleu")
    cut = replace(sample, prediction=": seven Q: 8+0?", references=("seven",))
    assert judged(cut, "exact_match", "flan2021")
    assert not judged(cut, "exact_match")
    names = replace(picked(0, right=True), options=("Bo", "Bo B."), references=("Bo", "Bo B."), answer=0)
    assert judged(names, "exact_match")
    assert not judged(names, "accuracy")
    assert not judged(names, "mcc") and judged(replace(names, answer=1), "mcc")


def test_the_page_and_the_terminal_show_them(made):
    page = render_run(read_run(made))
    for anchor in ("table-tests", "table-clean", "table-rules"):
        assert f'id="{anchor}"' in page
    from rich.console import Console

    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(next(console_tables(read_results(made))))
    text = console.export_text()
    assert "made, zero-shot" in text
    assert "detectable" in text and "…" not in text


def test_results_of_an_older_version_say_so(made):
    path = RunFolder(made).results
    path.write_text(path.read_text().replace('"schema": 4', '"schema": 3'))
    with pytest.raises(SourceError, match="was written by another version of flantune") as caught:
        read_run(made)
    assert "flantune rescore" in caught.value.hint
