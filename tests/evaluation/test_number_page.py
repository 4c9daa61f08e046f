"""What docs/numbers.md says of numbers is what happens, line by line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flantune.evaluation.metrics.extraction import number_rules
from flantune.evaluation.metrics.same_answer import same_answer
from flantune.numerals.reading import FoundNumber, parse_number, read_number
from flantune.numerals.values import plain_form

PAGE = (Path(__file__).parents[2] / "docs/numbers.md").read_text(encoding="utf-8")


def lines(heading: str) -> list[tuple[str, ...]]:
    """The rows of the tables below a heading, without the tables' own heads."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*) \|$", section, flags=re.MULTILINE)
    cells = [tuple(cell.strip("`").replace("\\|", "|") for cell in row.split(" | ")) for row in rows]
    return [tuple(re.sub(r"\\u([0-9a-f]{4})", lambda code: chr(int(code[1], 16)), c) for c in row) for row in cells]


def shown(found: FoundNumber | None) -> str:
    return "—" if found is None or found.value is None else plain_form(found.value) + "%" * found.is_percent


ONE, INSIDE = lines("A text that is one number"), lines("A text with numbers in it")
COMMA, SAME = lines("Where the decimal sign is a comma"), lines("The same answer?")


def test_the_tables_are_found():
    assert (len(ONE) > 80, len(INSIDE) > 15, len(COMMA) > 4, len(SAME) > 25) == (True,) * 4


@pytest.mark.parametrize("row", ONE, ids=lambda row: row[0])
def test_a_text_that_is_one_number(row: tuple[str, ...]):
    assert shown(parse_number(row[0])) == row[1]


@pytest.mark.parametrize("row", INSIDE, ids=lambda row: row[0])
def test_a_text_with_numbers_in_it(row: tuple[str, ...]):
    assert shown(read_number(row[0])) == row[1]


@pytest.mark.parametrize("row", COMMA, ids=lambda row: row[0])
def test_where_the_decimal_sign_is_a_comma(row: tuple[str, ...]):
    assert shown(read_number(row[0], decimal=",")) == row[1]
    assert number_rules(decimal=",")[-1].find(f"Also {row[0]}.") == row[1]


@pytest.mark.parametrize("row", SAME, ids=lambda row: f"{row[0]} {row[1]}")
def test_the_same_answer(row: tuple[str, ...]):
    one, other, is_same = row
    assert same_answer(one, other) == same_answer(other, one) == (is_same == "yes")
