"""The meaning of a cell in the answer column: one of several labels, or an option by its text or its place.

A cell has the same meaning in any file format: 2, 2.0 and "2" are one label, and so are true, True and "TRUE".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

from flantune.numerals.reading import find_numbers, in_ascii, parse_number
from flantune.numerals.values import Value
from flantune.tasks.rows import AMBIGUOUS, MISSING_VALUE, NOT_AN_OPTION, OUT_OF_RANGE, BadRow, is_missing, short

AnswerReading = Literal["", "text", "index"]
"""How the values of an answer column are read: as texts of options, as places among them (from 0), or either."""

_TRUTH = {"true": True, "false": False}
_SAYS = {
    **dict.fromkeys(("true", "yes", "correct", "right", "t", "y"), True),
    **dict.fromkeys(("false", "no", "incorrect", "wrong", "f", "n"), False),
}
_MAX_LABEL_CHARACTERS = 60
_FIGURES = re.compile("[0-9]+")
_ROMAN = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_PLACES = ("zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_COUNTS = {word: count for words in (_WORDS, _PLACES) for count, word in enumerate(words)}


def as_label(value: Any) -> str:
    """A cell as labels are written in a task file: in TOML's and JSON's notation, whole numbers without a point.

    >>> as_label(True), as_label(-1.0), as_label(0.5), as_label(None), as_label(float("nan"))
    ('true', '-1', '0.5', 'null', 'null')
    """
    if is_missing(value):
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else written(value) or str(value)


def written(value: Any) -> str:
    """A single value as text: numbers in Python's notation, dates in ISO's; empty if there are several."""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, int | float | Decimal) else ""


def find_label(value: Any, labels: Sequence[str]) -> int | None:
    """The place of the label that equals a cell: the same text, else the same truth value, else the same number.

    >>> find_label(2, ("1", "2")), find_label("2.0", ("1", "2")), find_label(True, ("False", "True"))
    (1, 1, 1)
    >>> find_label("yes", ("no", "Yes")), find_label(None, ("null",))
    (None, 0)
    """
    for text in _forms(value):
        if text in labels:
            return labels.index(text)
    truth = truth_of(value)
    if truth is not None:
        same = [place for place, label in enumerate(labels) if truth_of(label) == truth]
        if len(same) == 1:
            return same[0]
    number = number_of(value)
    if number is None:
        return None
    # A label that is "true" is not 1: among "true", "unknown" and "false" a 0 is the first one's index.
    same = [place for place, label in enumerate(labels) if _written_number(label) == number]
    return same[0] if len(same) == 1 else None


def choose_option(value: Any, options: Sequence[str], *, reading: AnswerReading, are_fixed: bool) -> int:
    """The place of the option that a cell refers to.

    Texts take precedence. A cell is read as a place only if no option has its text, if that does not mix both readings
    in one column, and if it is not true or false.

    Args:
        value: The cell.
        options: Texts of the options.
        reading: The reading that the task file sets.
        are_fixed: Whether all rows have these options.

    Raises:
        BadRow: It refers to none of them, or could refer to two.
    """
    if is_missing(value):
        raise BadRow(MISSING_VALUE, "got no answer")
    place = _place(value, options)
    if reading == "index":
        return _in_range(value, place, options)
    text = find_label(value, options)
    if text is not None and (reading == "text" or text == place or place is None):
        return text
    if reading == "text":
        raise BadRow(NOT_AN_OPTION, _expected(value, options))
    if truth_of(value) is not None:
        return _by_truth(value, text, place, options)
    if text is not None:
        if are_fixed:
            return text
        raise BadRow(AMBIGUOUS, _two_readings(value, options, text, place))
    if place is not None and are_fixed:
        _check_unmixed(value, place, options)
    return _in_range(value, place, options)


def index_of(label: Any, count: int) -> int | None:
    """A label that is an index from 0; None if it is hidden, as in the test splits of benchmarks.

    >>> index_of(1.0, 2), index_of("0", 2), index_of(-1, 2), index_of(None, 2)
    (1, 0, None, None)

    Raises:
        BadRow: It is NaN, no number, or beyond the options.
    """
    if label is None or label == "":
        return None
    if is_missing(label):
        raise BadRow(MISSING_VALUE, "got NaN as a label")
    number = number_of(label)
    if number == -1:
        return None
    if number is None or number not in range(count):
        raise BadRow(OUT_OF_RANGE, f"got {short(label)}; expected 0 to {count - 1}")
    return int(number)


def truth_of(value: Any) -> bool | None:
    """True or false, as written by JSON, Python, spreadsheets and SQL."""
    if isinstance(value, bool):
        return value
    return _TRUTH.get(value.strip().lower()) if isinstance(value, str) and len(value) < _MAX_LABEL_CHARACTERS else None


def number_of(value: Any) -> Value | None:
    """The exact number in a cell; true is 1 and false 0, as in tables without a boolean type."""
    truth = truth_of(value)
    if truth is not None:
        return Decimal(int(truth))
    if isinstance(value, int | float | Decimal):
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        return number if number.is_finite() else None
    return _written_number(value) if isinstance(value, str) else None


@lru_cache(maxsize=1024)
def _named_number(text: str) -> Value | None:
    """The one number in a text ("3 stars"); None if there is none, or several."""
    found = [one for one in find_numbers(text) if one.value is not None]
    return found[0].value if len(found) == 1 else None


@lru_cache(maxsize=1024)
def _count_of(text: str) -> int | None:
    """The one number in a name: in digits (Q1), in words (one star) or in Roman numerals (Type II)."""
    if len(text) > _MAX_LABEL_CHARACTERS:
        return None
    figures = _FIGURES.findall(in_ascii(text))
    words = text.lower().replace("-", " ").split()
    found = [int(one) for one in figures] or [_COUNTS[word] for word in words if word in _COUNTS]
    found = found or [_ROMAN.index(word) for word in text.split() if word in _ROMAN]
    return found[0] if len(found) == 1 else None


def _written_number(text: str) -> Value | None:
    return _short_number(text) if len(text) <= _MAX_LABEL_CHARACTERS else None


@lru_cache(maxsize=4096)
def _short_number(text: str) -> Value | None:
    found = parse_number(text)
    return None if found is None or found.is_percent else found.value


def _forms(value: Any) -> tuple[str, ...]:
    """The possible texts of a cell, the likeliest first."""
    if isinstance(value, str):
        return (value, value.strip())
    if isinstance(value, datetime):
        day = (value.date().isoformat(),) if value.time() == time() else ()
        return (written(value), value.isoformat(), *day)
    return (as_label(value), written(value))


def _place(value: Any, options: Sequence[str]) -> int | None:
    """A cell as a place among the options; None if it is not one."""
    number = number_of(value)
    if number is None or number != int(number) or not 0 <= number < len(options):
        return None
    return int(number)


def _in_range(value: Any, place: int | None, options: Sequence[str]) -> int:
    if place is not None:
        return place
    number = number_of(value)
    if number is not None and number == int(number):
        raise BadRow(OUT_OF_RANGE, f"got {value}; expected 0 to {len(options) - 1}")
    raise BadRow(NOT_AN_OPTION, _expected(value, options))


def _by_truth(value: Any, text: int | None, place: int | None, options: Sequence[str]) -> int:
    """The option for true or false; a truth value is not a place, since either may come first."""
    if text is not None:
        return text
    says = [_SAYS.get(option.strip().rstrip(".!").lower()) for option in options]
    if says.count(True) == says.count(False) == 1:
        return says.index(truth_of(value))
    raise BadRow(AMBIGUOUS, _two_readings(value, options, None, place))


def _check_unmixed(value: Any, place: int, options: Sequence[str]) -> None:
    """Refuses a place if it, or another value of the same column, could be a number in an option's text."""
    named = {number: at for at, option in enumerate(options) if (number := _named_number(option)) is not None}
    counted = [_count_of(option) for option in options]
    if not named and None not in counted and len({*counted}) == len(options):
        named = {Decimal(count): at for at, count in enumerate(counted) if count is not None}
    mixed = [at for number, at in named.items() if number in range(len(options)) and number != at]
    if mixed:
        other = options[named.get(Decimal(place), mixed[0])]
        detail = f"got {value}: as an index (from 0) it is option {short(options[place])}"
        raise BadRow(AMBIGUOUS, f"{detail}; but options name numbers of their own, as {short(other)} does")


def _two_readings(value: Any, options: Sequence[str], text: int | None, place: int | None) -> str:
    said = (
        "none of the options says true or false" if text is None else f"as a text it is option {short(options[text])}"
    )
    index = "" if place is None else f"; as an index (from 0) it is option {short(options[place])}"
    return f"got {short(as_label(value)) if isinstance(value, str) else as_label(value)}: {said}{index}"


def _expected(value: Any, options: Sequence[str]) -> str:
    return f"got {short(value)}; expected one of {', '.join(map(short, options))}"
