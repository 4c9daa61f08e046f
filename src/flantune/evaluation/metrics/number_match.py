"""Answers compared as numbers; ``exact_match`` would drop the minus sign and the decimal point."""

from __future__ import annotations

from collections.abc import Sequence

from flantune.evaluation.metrics.same_answer import same_answer
from flantune.evaluation.metrics.texts import exact_match
from flantune.numerals import reading as numerals
from flantune.numerals.reading import FoundNumber
from flantune.numerals.values import Value


def number_match(prediction: str, references: Sequence[str]) -> float:
    """1 if the prediction's number equals a reference's exactly, otherwise 0.

    The prediction's number is the whole text, the last boxed number, or the last number in it; the same for a reference
    in words. Figures that are not a number (a time, a date, a range) must match literally, and a reference without
    figures by ``exact_match``.

    >>> number_match("So x = -3.", ["-3"]), number_match("3", ["-3"]), number_match("$1,500.00", ["1500"])
    (1.0, 0.0, 1.0)
    >>> number_match("It is 10:30.", ["10:30"]), number_match("1030", ["10:30"]), number_match("0.5", ["1/2"])
    (1.0, 0.0, 1.0)
    """
    said = numerals.read_number(prediction)
    return max((_match(prediction, said, reference) for reference in references), default=0.0)


def read_number(text: str) -> Value | None:
    """The number that a text is, or the last one in it (the last boxed one, if any); None without any.

    >>> read_number("3 bags of 12 make 36 apples."), read_number("- 1 200.50 €"), read_number("twelve")
    (Decimal('36'), Decimal('-1200.50'), None)
    """
    found = numerals.read_number(text)
    return None if found is None else found.value


def _match(prediction: str, said: FoundNumber | None, reference: str) -> float:
    wanted = numerals.parse_number(reference)
    if wanted is None and any(character.isalpha() for character in reference):
        wanted = numerals.read_number(reference)
    if wanted is not None:
        return float(said is not None and numerals.is_same_number(said, wanted))
    if not any(character.isdecimal() for character in reference):
        return exact_match(prediction, [reference])
    figures = _last_figures(reference)
    is_met = figures == numerals.in_ascii(reference).strip() and figures == _last_figures(prediction)
    return float(is_met or same_answer(prediction, reference))


def _last_figures(text: str) -> str | None:
    """The time, date or similar with a text's last figures; None if they are a number."""
    found = list(numerals.find_numbers(text))
    if not found or found[-1].value is not None:
        return None
    return numerals.in_ascii(text[found[-1].start : found[-1].stop])
