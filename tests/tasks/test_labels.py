"""A cell of the answer column means the same in every format: a label, an option's text, or a place among options."""

from __future__ import annotations

import csv
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flantune.errors import BadRowsError, TaskError
from flantune.tasks.labels import as_label, choose_option, find_label, index_of
from flantune.tasks.prepare import prepare_task
from flantune.tasks.rows import AMBIGUOUS, BadRow
from flantune.tasks.taskfile import load_task_file

FORMATS = ("jsonl", "parquet", "csv")


def answers(folder: Path, form: str, labels: list[Any], answer: str, *, options: str = "", **more: list[Any]) -> Any:
    """The right answers of rows with these labels, as a task file reads them from a file of this format."""
    rows = [{"q": f"Question {k}?", "label": label} for k, label in enumerate(labels)]
    for name, values in more.items():
        rows = [row | {name: value} for row, value in zip(rows, values, strict=True)]
    write(folder / f"rows.{form}", form, rows)
    kind = "classification" if options else "generation"
    text = f"""
name = "t"
clusters = ["c"]
kind = "{kind}"
[source]
files = {{ test = "rows.{form}" }}
[splits]
test = "test"
[fields]
q = "q"
[answer]
column = "label"
{answer}
[[templates]]
inputs = "{{q}}"
"""
    text += f"[options]\n{options}\n" if options else ""
    path = folder / "t.toml"
    path.write_text(text, encoding="utf-8")
    store = prepare_task(load_task_file(path), cache=folder / f"cache-{form}").stores["test"]
    return [store[k].references[0] for k in range(len(store))]


def write(path: Path, form: str, rows: list[dict[str, Any]]) -> None:
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif form == "jsonl":
        path.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle)
            writer.writerow(rows[0])
            writer.writerows(row.values() for row in rows)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("labels", "options", "answer", "expected"),
    [
        ([True, False, False], 'values = ["true", "false"]', "", ["true", "false", "false"]),
        ([True, False, False], 'values = ["False", "True"]', "", ["True", "False", "False"]),
        ([True, False, False], 'values = ["yes", "no"]', "", ["yes", "no", "no"]),
        ([True, False, False], 'values = ["Incorrect.", "Correct."]', "", ["Correct.", "Incorrect.", "Incorrect."]),
        ([True, False, True], 'values = ["1", "0"]', "", ["1", "0", "1"]),
        ([False, True], 'values = ["b", "a"]', 'map = { "true" = "a", "false" = "b" }', ["b", "a"]),
        ([True, False], 'values = ["ham", "spam"]', 'read = "index"', ["spam", "ham"]),
        ([3, 1, 2], 'values = ["1", "2", "3", "4"]', "", ["3", "1", "2"]),
        ([3, 1, 4], 'values = ["0", "1", "2", "3", "4"]', "", ["3", "1", "4"]),
        ([3, 1, 2], 'values = ["1", "2", "3", "4"]', 'read = "index"', ["4", "2", "3"]),
        ([10, 20], 'values = ["20", "10"]', "", ["10", "20"]),
        ([0, 1, 2], 'values = ["true", "unknown", "false"]', "", ["true", "unknown", "false"]),
        ([1, 0], 'values = ["no stars", "a star"]', "", ["a star", "no stars"]),
        ([1, 0], 'values = ["level 0", "level 1"]', "", ["level 1", "level 0"]),
        ([1, 0], 'values = ["1990s", "2000s"]', "", ["2000s", "1990s"]),
        ([2, 1], 'values = ["1 star", "2 stars"]', 'keys = ["1", "2"]', ["2 stars", "1 star"]),
        ([0, 1], 'values = ["bad", "good"]', "", ["bad", "good"]),
        (["2", "1"], 'values = ["1", "2"]', "", ["2", "1"]),
        (["02", "1"], 'values = ["bad", "fair", "good"]', "", ["good", "fair"]),
        ([1.0, 2.0], 'values = ["1", "2"]', "", ["1", "2"]),
        ([2.5, 0.5], 'values = ["0.5", "1.5", "2.5"]', "", ["2.5", "0.5"]),
        ([1.0, 0.0], 'values = ["no", "yes"]', "", ["yes", "no"]),
        ([-1.0, 1.0, 0.0], 'values = ["no", "yes"]', "drop = [-1]", ["yes", "no"]),
        ([-1.0, 1.0, 0.0], 'values = ["no", "yes"]', 'drop = ["-1"]\nmap = { "0" = "no", "1" = "yes" }', ["yes", "no"]),
        ([5.0, 7.0], 'values = ["five", "seven"]', 'keys = ["5", "7"]', ["five", "seven"]),
        ([date(2020, 1, 5), date(2021, 3, 1)], 'values = ["2021-03-01", "2020-01-05"]', "",
         ["2020-01-05", "2021-03-01"]),
        ([datetime(2020, 1, 5, 8, 30)], 'values = ["2020-01-05 08:30:00", "never"]', "", ["2020-01-05 08:30:00"]),
        ([Decimal("1.50")], 'values = ["1.5", "2.5"]', "", ["1.5"]),
    ],
)  # fmt: skip
def test_the_same_rows_have_the_same_answers_in_every_format(
    tmp_path: Path, form: str, labels: list[Any], options: str, answer: str, expected: list[str]
) -> None:
    assert answers(tmp_path, form, labels, answer, options=options) == expected


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_choices_that_are_numbers_are_found_by_what_they_say(tmp_path: Path, form: str) -> None:
    found = answers(
        tmp_path, form, [4, 30, 9], "", options='column = "choices"', choices=[[1, 2, 3, 4], [10, 20, 30], [9, 8, 7]]
    )
    assert found == ["4", "30", "9"]


@pytest.mark.parametrize("form", FORMATS)
def test_narrow_floats_of_parquet_are_as_written(tmp_path: Path, form: str) -> None:
    rows = [{"q": "x", "label": 0.1}, {"q": "y", "label": 0.7}]
    expected = answers(tmp_path, form, [row["label"] for row in rows], "", options='values = ["0.7", "0.1"]')
    schema = pa.schema([("q", pa.string()), ("label", pa.float32()), ("more", pa.list_(pa.float16()))])
    path = tmp_path / "narrow.parquet"
    pq.write_table(pa.Table.from_pylist([row | {"more": [0.1, None]} for row in rows], schema=schema), path)
    (tmp_path / "t.toml").write_text(
        (tmp_path / "t.toml").read_text().replace(f"rows.{form}", "narrow.parquet").replace('q = "q"', 'q = "more.0"')
    )
    store = prepare_task(load_task_file(tmp_path / "t.toml"), cache=tmp_path / "narrow").stores["test"]
    assert [store[k].references[0] for k in range(2)] == expected == ["0.1", "0.7"]
    assert store[0].fields == {"q": "0.1"}


@pytest.mark.parametrize(
    ("labels", "options", "more", "said"),
    [
        # Counted from 0, though the options look like their own numbers: a 0 says so, the others could be either.
        ([0, 1, 4], 'values = ["1", "2", "3", "4", "5"]', {}, ["0", '"1"', "numbers of their own"]),
        (["0", "1"], 'values = ["1", "2"]', {}, ["0", '"1"', "numbers of their own"]),
        ([1, 2], 'values = ["1 star", "2 stars", "3 stars"]', {}, ["1", '"2 stars"', '"1 star"']),
        ([2], 'values = ["1 child", "2 children", "none"]', {}, ["2", '"none"', '"2 children"']),
        ([0], 'values = ["grade 1", "grade 2"]', {}, ["0", '"grade 1"']),
        ([1], 'values = ["Q1", "Q2", "Q3", "Q4"]', {}, ["1", '"Q2"', '"Q1"']),
        ([2], 'values = ["one star", "two stars", "three stars"]', {}, ["2", '"three stars"', '"two stars"']),
        (["1"], 'values = ["Type I", "Type II"]', {}, ["1", '"Type II"', '"Type I"']),
        ([0, 1], 'values = ["the first", "the second"]', {}, ["0", '"the first"']),
        # Choices from row to row: the third of them, or the one that says 2?
        ([2], 'column = "choices"', {"choices": [["2", "4", "6"]]}, ['option "2"', 'option "6"']),
        ([True], 'values = ["ham", "spam"]', {}, ["true", '"spam"']),
        ([False], 'values = ["yes", "perhaps"]', {}, ["false", '"yes"']),
    ],
)
@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_two_readings_are_refused_with_both_named(
    tmp_path: Path, form: str, labels: list[Any], options: str, more: dict[str, list[Any]], said: list[str]
) -> None:
    with pytest.raises(BadRowsError) as caught:
        answers(tmp_path, form, labels, "", options=options, **more)
    assert all(part in caught.value.message for part in said)
    assert 'read = "text"' in (caught.value.hint or "") and "t.toml" in (caught.value.hint or "")


def test_one_row_with_two_readings_among_thousands_is_refused_too(tmp_path: Path) -> None:
    with pytest.raises(BadRowsError, match=r"1 of 1,000 rows"):
        answers(tmp_path, "jsonl", [0, *[1] * 999], "", options='values = ["1", "2"]')


@pytest.mark.parametrize(("read", "expected"), [("text", ["2", "4"]), ("index", ["3", "5"])])
@pytest.mark.parametrize("form", FORMATS)
def test_the_task_file_can_say_which_is_meant(tmp_path: Path, form: str, read: str, expected: list[str]) -> None:
    found = answers(tmp_path, form, [2, 4], f'read = "{read}"', options='values = ["1", "2", "3", "4", "5"]')
    assert found == expected


@pytest.mark.parametrize(
    ("answer", "options", "problem"),
    [
        ('read = "index"', "", "answer.read: needs options"),
        (
            'read = "index"\nkeys = ["a", "b"]',
            'values = ["x", "y"]',
            "answer.read: cannot be combined with keys or map",
        ),
        ('read = "place"', 'values = ["x", "y"]', 'answer.read: should be "text" or "index", got "place"'),
    ],
)
def test_read_is_checked(tmp_path: Path, answer: str, options: str, problem: str) -> None:
    with pytest.raises(TaskError) as caught:
        answers(tmp_path, "jsonl", ["a"], answer, options=options)
    assert problem in caught.value.message


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["LABEL_0", "LABEL_1", "LABEL_2"], "LABEL_1"),
        (["none", "one", "many"], "one"),
        (["World War II", "the Cold War"], "the Cold War"),
        (["I agree", "I disagree"], "I disagree"),
        (["group 10", "group 20"], "group 20"),
        (["zero", "one"], "one"),
    ],
)
def test_an_index_beside_names_that_do_not_count_otherwise(tmp_path: Path, options: list[str], expected: str) -> None:
    assert answers(tmp_path, "jsonl", [1], "", options=f"values = {json.dumps(options)}") == [expected]


@pytest.mark.parametrize("form", FORMATS)
def test_nan_is_a_missing_value_and_the_text_nan_is_a_text(tmp_path: Path, form: str) -> None:
    assert answers(tmp_path, form, ["nan", "NaN", "naan"], "") == ["nan", "NaN", "naan"]
    assert answers(tmp_path, form, ["nan", "x"], "", options='values = ["nan", "x"]') == ["nan", "x"]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
@pytest.mark.parametrize("options", ["", 'values = ["1.5", "2.5"]', 'column = "choices"'])
def test_rows_without_question_option_or_target_are_dropped(tmp_path: Path, form: str, options: str) -> None:
    nan = float("nan")
    choices = [[1.5, 2.5], [1.5, 2.5], [1.5, 2.5], [1.5, nan if "column" in options else 2.5]]
    with pytest.raises(BadRowsError) as caught:
        answers(tmp_path, form, [1.5, nan, None, 1.5], "", options=options, choices=choices)
    assert "missing value" in caught.value.message
    assert f"{3 if 'column' in options else 2} × missing value, first in row 1" in caught.value.message


def test_rows_of_python_sources_may_hold_anything() -> None:
    class NAType:  # as pandas has it: comparing it gives no truth value
        def __eq__(self, other: object) -> Any:
            return self

        def __bool__(self) -> bool:
            raise TypeError("no truth value")

        __hash__ = None  # type: ignore[assignment]

    assert as_label(NAType()) == "null"
    assert as_label(Decimal("NaN")) == "null"
    assert find_label(float("nan"), ("null", "nan")) == 0


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (True, "true"), (False, "false"), (None, "null"), (1.0, "1"), (-1.0, "-1"), (1e20, "1" + "0" * 20),
        (0.5, "0.5"), (float("inf"), "inf"), ("1.0", "1.0"), (Decimal("1.50"), "1.50"),
        (date(2020, 1, 5), "2020-01-05"),
    ],
)  # fmt: skip
def test_labels_are_as_a_task_file_has_them(value: object, label: str) -> None:
    assert as_label(value) == label


@pytest.mark.parametrize(
    ("value", "labels", "place"),
    [
        ("−1", ("0", "-1"), 1), ("１", ("0", "1"), 1), (1, ("1", "1.0"), 0), ("1.0", ("1", "1.0"), 1),
        (1.5, ("1,5", "2"), 0), ("1,000", ("1000", "2"), 0), (1, ("1.0", "1.00"), None), ("50%", ("50", "5"), None),
        (0.1, ("0.1", "0.10000000000000001"), 0), ("x", ("1",), None), (float("inf"), ("1",), None),
        ("9" * 10_000, ("1",), None), (10**400, ("1",), None),
    ],
)  # fmt: skip
def test_a_label_is_found_by_text_then_by_number(value: object, labels: tuple[str, ...], place: int | None) -> None:
    assert find_label(value, labels) == place


@pytest.mark.parametrize(
    ("label", "index"),
    [
        (1, 1),
        (1.0, 1),
        ("1", 1),
        (True, 1),
        (Decimal(0), 0),
        (-1, None),
        (-1.0, None),
        ("-1", None),
        ("", None),
        (None, None),
    ],
)
def test_labels_of_shipped_tasks_count_options(label: object, index: int | None) -> None:
    assert index_of(label, 2) == index


def test_a_label_that_is_nan_is_missing() -> None:
    with pytest.raises(BadRow, match="missing value"):
        index_of(float("nan"), 2)


@pytest.mark.parametrize("label", [2, -2, 0.5, "2", "one", float("inf"), [1]])
def test_labels_beyond_the_options_are_bad(label: object) -> None:
    with pytest.raises(BadRow, match="label out of range"):
        index_of(label, 2)


@pytest.mark.parametrize("value", [2, "2", 2.0, "2.0", "２"])
def test_a_text_comes_before_a_place_in_every_type(value: object) -> None:
    assert choose_option(value, ("1", "2", "3"), reading="", are_fixed=True) == 1
    with pytest.raises(BadRow) as caught:
        choose_option(value, ("1", "2", "3"), reading="", are_fixed=False)
    assert caught.value.reason == AMBIGUOUS
