"""Columns become fields, options and answers, and what cannot is named."""

from __future__ import annotations

import pytest

from flantune.tasks.columns import AnswerColumn, ColumnAdapter, FieldColumn, OptionColumns
from flantune.tasks.rows import BadRow, check_example
from flantune.types import Example, Kind, Row

FIELDS = {"text": FieldColumn(column="text")}
SAD_GLAD = OptionColumns(values=("sad", "glad"))


def adapt(row: Row, *, options: OptionColumns | None = SAD_GLAD, **answer: object) -> Example | None:
    column = str(answer.pop("column", "label"))
    adapter = ColumnAdapter(fields=FIELDS, options=options, answer=AnswerColumn(column=column, **answer))  # type: ignore[arg-type]
    example = adapter({"text": "So it goes.", **row})
    if example is not None:
        check_example(example, "classification" if options else "generation")
    return example


@pytest.mark.parametrize(
    ("row", "options", "answer", "expected"),
    [
        ({"label": 1}, SAD_GLAD, {}, 1),
        ({"label": "1"}, SAD_GLAD, {}, 1),
        ({"label": True}, SAD_GLAD, {}, 1),
        ({"label": 1.0}, SAD_GLAD, {}, 1),
        ({"label": "glad"}, SAD_GLAD, {}, 1),
        ({"label": "pos"}, SAD_GLAD, {"map": {"pos": "glad", "neg": "sad"}}, 1),
        ({"label": -1}, SAD_GLAD, {"map": {"-1": "sad", "1": "glad"}}, 0),
        ({"label": False}, SAD_GLAD, {"map": {"false": "glad", "true": "sad"}}, 1),
        ({"label": "B"}, SAD_GLAD, {"keys": ("A", "B")}, 1),
        ({"label": 2}, SAD_GLAD, {"keys": ("1", "2")}, 1),
        # Text is text first: "2" is the option called 2, not the third.
        ({"label": "2"}, OptionColumns(values=("1", "2", "3")), {}, 1),
        ({"label": 2}, OptionColumns(values=("1", "2", "3")), {}, 2),
        ({"c": {"text": ["x", "y"]}, "label": "y"}, OptionColumns(column="c.text"), {}, 1),
        ({"c": [{"text": "x"}, {"text": "y"}], "label": 1}, OptionColumns(column="c.text"), {}, 1),
        ({"one": "x", "two": "y", "label": 1}, OptionColumns(columns=("one", "two")), {}, 1),
        (
            {"c": {"text": ["x", "y"], "k": ["3", "4"]}, "label": "4"},
            OptionColumns(column="c.text"),
            {"keys_column": "c.k"},
            1,
        ),
    ],
)
def test_answers(row: Row, options: OptionColumns, answer: dict[str, object], expected: int) -> None:
    example = adapt(row, options=options, **answer)
    assert example is not None
    assert example.answer == expected
    assert example.references == (example.options[expected],)


@pytest.mark.parametrize(
    ("row", "answer", "references"),
    [
        ({"label": "Oslo"}, {}, ("Oslo",)),
        ({"label": 7}, {}, ("7",)),
        ({"label": ["Oslo", " ", "Kristiania"]}, {}, ("Oslo", "Kristiania")),
        ({"label": "one || two ||"}, {"separator": "||"}, ("one", "two")),
        ({"label": "1"}, {"map": {"1": "yes"}}, ("yes",)),
        ({"a": {"b": {"c": "deep"}}}, {"column": "a.b.c"}, ("deep",)),
        ({"a.b": "flat"}, {"column": "a.b"}, ("flat",)),
        ({"a": {"text": ["x", "y"]}}, {"column": "a.text.1"}, ("y",)),
    ],
)
def test_references(row: Row, answer: dict[str, object], references: tuple[str, ...]) -> None:
    example = adapt(row, options=None, **answer)
    assert example is not None
    assert example.references == references


@pytest.mark.parametrize(("label", "drop"), [(-1, ("-1",)), ("-1", ("-1",)), ("-", ("-", "-1")), (None, ("null",))])
def test_rows_can_be_dropped_on_purpose(label: object, drop: tuple[str, ...]) -> None:
    assert adapt({"label": label}, drop=drop) is None


@pytest.mark.parametrize(
    ("row", "options", "answer", "reason", "detail"),
    [
        (
            {"lable": 1},
            SAD_GLAD,
            {},
            "missing column",
            'got columns text, lable; expected "label"; did you mean "lable"?',
        ),
        ({"label": None}, SAD_GLAD, {}, "missing value", 'got null in column "label"; expected an answer'),
        ({"label": 2}, SAD_GLAD, {}, "label out of range", "got 2; expected 0 to 1"),
        ({"label": -1}, SAD_GLAD, {}, "label out of range", "got -1; expected 0 to 1"),
        ({"label": "-1"}, SAD_GLAD, {}, "label out of range", "got -1; expected 0 to 1"),
        ({"label": "happy"}, SAD_GLAD, {}, "answer not among options", 'got "happy"; expected one of "sad", "glad"'),
        ({"label": 0.5}, SAD_GLAD, {}, "answer not among options", 'got 0.5; expected one of "sad", "glad"'),
        (
            {"label": "C"},
            SAD_GLAD,
            {"keys": ("A", "B")},
            "answer not among options",
            'got "C"; expected one of "A", "B"',
        ),
        ({"label": "x"}, SAD_GLAD, {"map": {"y": "sad"}}, "answer not among options", 'got "x"; expected one of "y"'),
        (
            {"c": "x", "label": 0},
            OptionColumns(column="c"),
            {},
            "not text",
            'got str "x" in column "c"; expected a list of texts',
        ),
        (
            {"c": ["x"], "label": 0},
            OptionColumns(column="c"),
            {},
            "unusable options",
            "got ['x']; expected at least two",
        ),
        (
            {"c": ["x", " "], "label": 0},
            OptionColumns(column="c"),
            {},
            "unusable options",
            "got an empty option in ['x', ' ']",
        ),
        (
            {"c": ["x", "x"], "label": 0},
            OptionColumns(column="c"),
            {},
            "unusable options",
            'got the right answer "x" twice among the options',
        ),
        (
            {"c": ["x", None], "label": 0},
            OptionColumns(column="c"),
            {},
            "missing value",
            'got null in column "c"; expected text',
        ),
        ({"text": None, "label": 0}, SAD_GLAD, {}, "missing value", 'got null in column "text"; expected text'),
        ({"text": ["a"], "label": 0}, SAD_GLAD, {}, "not text", "got list ['a'] in column \"text\"; expected text"),
        ({"text": "\udce4", "label": 0}, SAD_GLAD, {}, "broken encoding", "in the field text, near '\\udce4'"),
        ({"label": " "}, None, {}, "empty target", 'got " " in column "label"; expected text'),
        ({"label": []}, None, {}, "empty target", 'got [] in column "label"; expected text'),
        ({"a": None}, None, {"column": "a.b"}, "missing value", 'got null on the way to "a.b"'),
        ({"a": ["x"]}, None, {"column": "a.1"}, "missing column", 'got [\'x\'], which has no "1"; expected "a.1"'),
    ],
)
def test_every_reason_says_got_and_expected(
    row: Row, options: OptionColumns | None, answer: dict[str, object], reason: str, detail: str
) -> None:
    with pytest.raises(BadRow) as caught:
        adapt(row, options=options, **answer)
    assert (caught.value.reason, caught.value.detail) == (reason, detail)


def test_lists_of_texts_are_joined_when_asked() -> None:
    fields = {"text": FieldColumn(column="source", join=" ")}
    adapter = ColumnAdapter(fields=fields, answer=AnswerColumn(column="target"))
    example = adapter({"source": ["One.", "Two."], "target": "x"})
    assert example is not None
    assert example.fields == {"text": "One. Two."}


def test_fingerprint_sees_every_part_and_the_order_of_fields() -> None:
    a, b = FieldColumn(column="a"), FieldColumn(column="b")
    answer = AnswerColumn(column="x")
    adapters = [
        ColumnAdapter(fields={"a": a, "b": b}, answer=answer),
        ColumnAdapter(fields={"b": b, "a": a}, answer=answer),
        ColumnAdapter(fields={"a": a, "b": b}, options=SAD_GLAD, answer=answer),
        ColumnAdapter(fields={"a": a, "b": b}, answer=AnswerColumn(column="x", drop=("-1",))),
        ColumnAdapter(fields={"a": a, "b": FieldColumn(column="b", join=" ")}, answer=answer),
    ]
    assert len({adapter.fingerprint for adapter in adapters}) == len(adapters)


@pytest.mark.parametrize(
    ("example", "kind", "reason"),
    [
        (Example(row=0, fields={}, references=()), "generation", "empty target"),
        (Example(row=0, fields={}, references=("x",), options=("x", "y")), "generation", "unusable options"),
        (
            Example(row=0, fields={}, references=("x",), options=("x", "y")),
            "classification",
            "answer not among options",
        ),
        (
            Example(row=0, fields={}, references=("x",), options=("x", "y"), answer=2),
            "classification",
            "label out of range",
        ),
        (
            Example(row=0, fields={}, references=("x",), options=("x", "y"), answer=1),
            "classification",
            "answer not among options",
        ),
        (Example(row=0, fields={"n": 3}, references=("x",)), "generation", "not text"),  # type: ignore[dict-item]
    ],
)
def test_examples_of_python_adapters_are_checked_too(example: Example, kind: Kind, reason: str) -> None:
    with pytest.raises(BadRow) as caught:
        check_example(example, kind)
    assert caught.value.reason == reason
