"""Answers compared as numbers, by hand."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.evaluation.metrics import find_metric
from flantune.evaluation.numbers import number_match, read_number
from flantune.evaluation.texts import exact_match
from flantune.tasks.load import load_task_file
from flantune.types import Sample

COLLECTIONS = Path(__file__).parents[2] / "src/flantune/collections"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        # The whole answer.
        ("3", "3"), ("-3", "-3"), ("−3", "-3"), ("–3", "-3"), ("+7", "7"), ("- 3", "-3"), ("-0", "0"), (" 3 \n", "3"),
        ("0.50", "0.5"), ("-.5", "-0.5"), (".25", "0.25"), ("3.0", "3"), ("007", "7"),
        ("1,500", "1500"), ("1,234,567.80", "1234567.8"), ("-12,000", "-12000"), ("1 500", "1500"),
        ("1\u202f500", "1500"), ("1 234 567.5", "1234567.5"),
        ("$5", "5"), ("-$5", "-5"), ("$-5", "-5"), ("€ 7", "7"), ("7 €", "7"), ("£1,000.00", "1000"),
        ("42.", "42"), ("42!", "42"), ("3.5.", "3.5"), ("(-4)", "-4"), ("**42**", "42"), ('"8"', "8"),
        # The last number.
        ("x = -3", "-3"), ("x=-3", "-3"), ("k=-.5", "-0.5"), ("The answer is -12!", "-12"), ("5 - 3", "3"),
        ("5-3", "3"), ("2*600=1,200", "1200"), ("5-3=2", "2"), ("f(2)-3", "3"), ("5-$3", "3"),
        ("3 bags of 12 make 36 apples.", "36"), ("$4 and $1,009.50 left.", "1009.5"), ("It costs 5€.", "5"),
        ("10%", "10"), ("5km", "5"), ("GPT-4", "4"), ("pages 3–5", "5"), (r"\boxed{-3}", "-3"),
        ("1, 2, 3", "3"), ("...5", "5"), ("no. 5", "5"),
        ("A12 holds 8", "8"), ("8 in B12", "8"),
    ],
)  # fmt: skip
def test_numbers_are_read(text: str, number: str) -> None:
    assert read_number(text) == Decimal(number)


@pytest.mark.parametrize("text", ["1,234,56", "", "twelve", "B12", "x2", "-", ".", "$", "²", "…"])
def test_a_text_without_a_number_has_none(text: str) -> None:
    assert read_number(text) is None


@pytest.mark.parametrize(
    ("prediction", "references", "score"),
    [
        ("-3", ["-3"], 1), ("3", ["-3"], 0), ("-3", ["3"], 0), ("−3.", ["-3"], 1),
        ("0.5", ["5"], 0), ("0.50", [".5"], 1), ("1,500", ["1500"], 1), ("$1,500.00", ["1500", "1,500"], 1),
        ("15", ["1,5"], 0), ("So she saves $3.", ["3"], 1), ("He has 3 left of 5", ["3"], 0),
        ("4", ["3", "4"], 1), ("", ["3"], 0), ("three", ["3"], 0), ("5", [], 0),
        ("3.0000000000000000000000000000000000001", ["3"], 0),
        ("June", ["june"], 1), ("June 5", ["june"], 0),
    ],
)  # fmt: skip
def test_number_match_by_hand(prediction: str, references: list[str], score: int) -> None:
    assert number_match(prediction, references) == score


def test_exact_match_takes_3_for_minus_3_and_number_match_does_not() -> None:
    assert exact_match("3", ["-3"]) == 1
    assert number_match("3", ["-3"]) == 0


def test_endless_digits_are_read_too() -> None:
    assert number_match("9" * 20_000, ["9" * 20_000]) == 1
    assert number_match("9" * 20_000, ["9" * 19_999]) == 0
    assert number_match(",".join(["1"] + ["999"] * 5_000), ["1"]) == 0


@given(number=st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=3))
@settings(max_examples=50)
def test_a_number_is_read_as_it_is_written(number: Decimal) -> None:
    for text in (f"{number:f}", f"{number:,f}", f"so it is {number:,f}.", f"x={number:f}", f"3 or 4? {number:f}!"):
        assert read_number(text) == number


@given(text=st.text("0123456789.,-+$€ ()=x\n\u202f−٣²", max_size=40))
@settings(max_examples=50)
def test_any_text_can_be_read(text: str) -> None:
    number = read_number(text)
    assert number is None or number.is_finite()


def test_it_is_a_metric_of_generation_tasks_right_or_wrong() -> None:
    metric = find_metric("number_match", "generation")
    assert metric.is_binary and metric.score is None
    sample = Sample(task="t", split="test", row=0, template="a", shots=0, inputs="", references=("-3",), prediction="3")
    assert metric.note(sample, "sum") == (0.0,)


@pytest.mark.parametrize("name", ["flan2021/math_dataset", "more/gsm8k"])
def test_it_is_the_headline_of_tasks_whose_answers_are_numbers(name: str) -> None:
    assert load_task_file(COLLECTIONS / f"{name}.toml").metrics == ("number_match", "exact_match")
