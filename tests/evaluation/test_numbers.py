"""Answers compared as numbers, by hand."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.evaluation.metrics.by_name import find_metric
from flantune.evaluation.metrics.extraction import BBH_COT, GSM8K_COT, extract, number_rules
from flantune.evaluation.metrics.graders import text_grader
from flantune.evaluation.metrics.number_match import number_match, read_number
from flantune.evaluation.metrics.same_answer import same_answer
from flantune.evaluation.metrics.texts import exact_match
from flantune.tasks.taskfile import load_task_file
from flantune.types import Sample

COLLECTIONS = Path(__file__).parents[2] / "src/flantune/shipped"


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


@pytest.mark.parametrize("sign", ["", "-", "−"])
def test_endless_digits_are_read_too(sign: str) -> None:
    long = sign + "123456789" * 3_000
    assert number_match(long, [long]) == number_match(f"It is {long}.", [f"{long}.000"]) == 1
    assert number_match(long + "1", [long + "2"]) == number_match(f"0.{'1' * 60}", [f"0.{'1' * 60}1"]) == 0
    assert number_match("9" * 20_000, ["9" * 20_000]) == 1
    assert number_match("9" * 20_000, ["9" * 19_999]) == 0
    assert number_match(",".join(["1"] + ["999"] * 5_000), ["1"]) == 0


@given(number=st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=3))
@settings(max_examples=50)
def test_a_number_is_read_as_it_is_written(number: Decimal) -> None:
    for text in (f"{number:f}", f"{number:,f}", f"so it is {number:,f}.", f"x={number:f}", f"3 or 4? {number:f}!"):
        assert read_number(text) == number


HOSTILE = [
    "9" * 300_000, "1e999999999999", "1e9999", "-1e-9999", "1," * 50_000, "1 1/2 " * 5_000, "{" * 100_000, "½" * 5_000,
    r"\boxed{" * 20_000 + "7", r"\sqrt{" * 5_000 + "7", r"\frac{1}" * 5_000, "-" * 100_000 + "7", "(" * 100_000 + "7",
    "1:" * 50_000, "1-" * 50_000, r"1\," * 20_000, ".5" * 20_000, "٣" * 100_000, "1/" + "3" * 100_000,
    "10^" + "9" * 50_000, "$" * 100_000, "1 234" * 20_000, "\ud800 7", "7\x00", "10^{" * 10_000,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: f"{text[:8]!a} x {len(text)}")
def test_whatever_is_written_is_read_or_not_and_nothing_else(text: str) -> None:
    number_match(text, ["7"])
    assert number_match("7", [text]) in (0, 1)
    assert same_answer(text, text)
    for rules in (GSM8K_COT, number_rules(decimal=",")):
        extract(text, rules)


@pytest.mark.parametrize(
    ("prediction", "reference", "score"),
    [
        # Signs and points.
        ("37", "-37", 0), ("So it is −37.", "-37", 1), ("3.5", "35", 0), ("35", "3.5", 0), ("3,50", "3.5", 1),
        # Groups.
        ("Rs 2,50,000", "250000", 1), ("Rs 2,50,000", "0", 0), ("12'500", "12500", 1), ("12'500", "500", 0),
        ("1.250.000", "1250000", 1), ("٢٬٥٠٠", "2500", 1), ("२,५०,०००", "250000", 1), ("1\u2009250", "1250", 1),
        # Fractions, powers of ten, LaTeX.
        ("3/4", "34", 0), ("3/4", "0.75", 1), ("1¾", "1.75", 1), (r"\frac{3}{4}", "3/4", 1), (r"\frac{3}{4}", "4", 0),
        (r"it is \boxed{2{,}500}, not 7", "2500", 1), ("2.5e3", "2500", 1), ("2.5 × 10³", "2500", 1), ("10^3", "3", 0),
        # What is no number has to be met as it stands.
        ("10:45", "1045", 0), ("1045", "10:45", 0), ("45", "10:45", 0), ("It is 10:45.", "10:45", 1),
        ("It is 11:45.", "10:45", 0), ("2-3", "23", 0), ("3", "2-3", 0), ("2–3", "2-3", 1), ("2020-05-12", "12", 0),
        ("June", "june", 1), ("the June", "june", 1),
        # A hundredth, or not.
        ("25%", "25", 1), ("25%", "0.25", 1), ("1/4", "25%", 1), ("25%", "2.5", 0),
    ],
)  # fmt: skip
def test_what_makes_a_number_another_one_counts(prediction: str, reference: str, score: int) -> None:
    assert number_match(prediction, [reference]) == score


@pytest.mark.parametrize(
    ("text", "decimal", "answer"),
    [
        ("The answer is -37.", ".", "-37"), ("The answer is 3/4.", ".", "0.75"),
        ("The answer is 12 500 km.", ",", "12500"),
        ("The answer is 12 500.", ".", "12500"),
        (r"The answer is $\boxed{1{,}250}$.", ".", "1250"), ("#### 12'500", ".", "12500"),
        ("Die Antwort ist 1.250,50 Euro", ",", "1250.5"), ("उत्तर १,२५,००० है", ".", "125000"),
        ("5 - 12 makes -7", ".", "-7"),
        ("12 - 5", ".", "5"), ("at 10:45", ".", None), ("1/3 is the answer: 1/3", ".", "1/3"), ("25 m²", ".", "25"),
    ],
)  # fmt: skip
def test_answers_are_extracted_by_the_same_reader(text: str, decimal: Literal[".", ","], answer: str | None) -> None:
    assert extract(text, number_rules(decimal=decimal)).answer == answer


def test_a_benchmark_grades_by_value() -> None:
    def accuracy(prediction: str, reference: str) -> float:
        sample = Sample(
            task="t",
            split="test",
            row=0,
            template="a",
            shots=0,
            inputs="",
            references=(reference,),
            prediction=prediction,
        )
        return text_grader(BBH_COT).grade(sample).notes[0][0]

    wrong = [("37", "-37"), ("3.5", "35"), ("1/2", "12"), ("10:30", "1030"), ("-5", "5"), ("2^3", "23"), ("", "5")]
    assert [accuracy(f"the answer is {said}.", wanted) for said, wanted in wrong] == [0.0] * len(wrong)
    right = [("−37", "-37"), ("1,250", "1250"), ("0.50", "1/2"), ("(B)", "B"), ("Yes", "yes"), ("10:30", "10:30")]
    assert [accuracy(f"the answer is {said}.", wanted) for said, wanted in right] == [1.0] * len(right)


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
