"""Rows that are bad: the reason is told wherever tasks are looked at, most of all when every row is bad."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.task_files import task_text

from flantune.cli import tasks as tasks_cli
from flantune.cli import templates as templates_cli
from flantune.errors import SourceError
from flantune.tasks.prepare import prepare_task
from flantune.tasks.taskfile import load_task_file

FILES = {"train": "train.jsonl", "test": "test.jsonl"}
TASK = task_text("signs", FILES, cluster="c", options=("go", "stop"))
GOOD = [{"text": f"sign {number}", "label": number % 2} for number in range(12)]


@pytest.fixture
def write(tmp_path: Path):
    def lay(train: list[object], test: list[object]) -> Path:
        for name, rows in (("train", train), ("test", test)):
            lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
            (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
        (tmp_path / "signs.toml").write_text(TASK)
        (tmp_path / "run.toml").write_text('[data]\ntasks = ["signs.toml"]\n')
        return tmp_path

    return lay


def check(folder: Path) -> Result:
    return CliRunner().invoke(tasks_cli.command, ["check", str(folder / "run.toml")])


def lint(folder: Path) -> Result:
    return CliRunner().invoke(templates_cli.command, ["lint", str(folder / "signs.toml")])


BROKEN = {
    "missing column": ([{"txt": "x", "label": 0}] * 3, 'expected "text"'),
    "label out of range": ([{"text": "x", "label": 7}] * 4, "got 7"),
    "answer not among options": ([{"text": "x", "label": "go on"}], 'expected one of "go", "stop"'),
    "not valid JSON": (['{"text": "x", '] * 2, ""),
    "not an object": (["[1, 2]"] * 2, ""),
    "missing value": ([{"text": None, "label": 0}] * 2, "text"),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_check_tells_why_every_row_of_a_split_is_bad(write, reason):
    rows, expected = BROKEN[reason]
    folder = write(rows, GOOD)
    result = check(folder)
    assert result.exit_code == 1
    assert f"{len(rows)} × {reason}, in {folder / 'train.jsonl'}" in result.stdout
    assert "no example is left" in result.stdout and "row 0: " in result.stdout and expected in result.stdout
    # The other split is told of all the same.
    assert "test          12 rows         12 kept       0 bad" in result.stdout


@pytest.mark.parametrize("reason", BROKEN)
def test_check_tells_of_the_bad_split_though_it_is_not_the_first(write, reason):
    rows, expected = BROKEN[reason]
    folder = write(GOOD, rows)
    result = check(folder)
    assert result.exit_code == 1 and "train         12 rows" in result.stdout
    assert f"{reason}, in {folder / 'test.jsonl'}" in result.stdout and expected in result.stdout


@pytest.mark.parametrize("reason", BROKEN)
def test_lint_tells_why_there_is_no_row_to_look_at(write, reason):
    rows, expected = BROKEN[reason]
    folder = write(rows, GOOD)
    result = lint(folder)
    assert result.exit_code == 1
    assert f"signs: error: bad-rows: {len(rows)} of the first {len(rows)} rows are bad ({reason})" in result.stdout
    assert str(folder / "train.jsonl") in result.stdout and expected in result.stdout


def test_lint_warns_of_bad_rows_between_good_ones_by_reason(write):
    folder = write([*GOOD[:3], {"txt": "x", "label": 0}, {"text": "x", "label": 9}, *GOOD[3:]], GOOD)
    result = lint(folder)
    assert "warning: bad-rows: 1 of the first 14 rows are bad (missing column), first in row 3" in result.stdout
    assert "warning: bad-rows: 1 of the first 14 rows are bad (label out of range), first in row 4" in result.stdout


@pytest.mark.parametrize("command", [["show", "signs"], ["preview", "signs"]])
def test_looking_at_a_task_tells_why_it_has_no_example(write, command):
    folder = write([{"text": "x", "label": 5}] * 2, GOOD)
    group = templates_cli.command if command[0] == "preview" else tasks_cli.command
    result = CliRunner().invoke(group, [*command, str(folder / "run.toml")])
    said = result.output + str(result.exception or "")
    assert "all of the first 2 rows are bad" in said and "2 × label out of range, first in row 0" in said
    assert str(folder / "train.jsonl") in said


def test_preparing_tells_the_reason_however_many_bad_rows_are_allowed(write):
    folder = write([{"text": "x", "label": 5}, {"txt": "y", "label": 0}], GOOD)
    with pytest.raises(SourceError) as caught:
        prepare_task(load_task_file(folder / "signs.toml"), cache=folder / "cache", max_bad_share=1.0)
    text = caught.value.render()
    assert "no example is left of its 2 rows" in text
    assert "1 × label out of range, first in row 0" in text and "1 × missing column, first in row 1" in text
    assert caught.value.where == str(folder / "train.jsonl") and "drop" in caught.value.hint


def test_check_reads_metrics_and_options_of_whole_splits(write):
    folder = write(GOOD, [{"text": f"sign {number}", "label": 1} for number in range(12)])
    result = check(folder)
    assert result.exit_code == 0
    assert "warning: constant-answer: each of 12 rows of test has the same answer" in result.stdout


@pytest.mark.parametrize("blank", ["", "  ", "\n\t"])
def test_a_row_without_any_text_is_a_missing_value(write, blank: str) -> None:
    folder = write(GOOD, [*GOOD, {"text": blank, "label": 1}])
    output = check(folder).output
    assert 'row 12: got no text in "text"; expected some' in output
    assert "1 × missing value" in output


@pytest.mark.parametrize("tell", [check, lint])
def test_a_field_that_is_empty_in_some_rows_is_told(write, tell) -> None:
    rows = [{**row, "note": "" if row["text"].endswith(("3", "7")) else "so"} for row in GOOD]
    folder = write(rows, rows)
    task = folder / "signs.toml"
    task.write_text(TASK.replace('text = "text"', 'text = "text"\nnote = "note"').replace("{text}", "{text}\\n{note}"))
    result = tell(folder)
    assert (
        "signs: warning: empty-field: the field note is empty in 2 of 12 rows looked at, first in row 3"
        in result.output
    )
    assert result.output.count("empty-field") == 1
    assert "field text is empty" not in result.output
    assert result.exit_code == 0


def test_a_row_with_options_of_its_own_may_have_empty_fields(write) -> None:
    rows = [{"text": "", "choices": [f"go {number}", f"stop {number}"], "label": number % 2} for number in range(12)]
    folder = write(rows, rows)
    task = folder / "signs.toml"
    task.write_text(TASK.replace('values = ["go", "stop"]', 'column = "choices"'))
    assert " 0 bad" in check(folder).output


@pytest.mark.parametrize("tell", [check, lint])
def test_values_with_two_readings_or_counted_from_one_come_with_what_to_write(write, tell) -> None:
    rows = [{"text": f"sign {number}", "label": number % 2 + 1} for number in range(12)]
    folder = write(rows, rows)
    assert "if values count from 1" in tell(folder).output
    task = folder / "signs.toml"
    task.write_text(TASK.replace('"go", "stop"', '"Q1", "Q2"'))
    output = tell(folder).output
    assert "answer with two readings" in output and 'read = "text" or read = "index"' in output
    task.write_text(TASK.replace('column = "label"', 'column = "label"\nkeys = ["1", "2"]'))
    result = tell(folder)
    assert result.exit_code == 0 and "bad-rows" not in result.output
