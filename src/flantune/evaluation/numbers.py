"""Answers compared as numbers, for tasks whose answer is one: ``exact_match`` drops the minus sign and the point."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from flantune.evaluation.texts import exact_match

_MINUS = "-−–"  # hyphen, minus sign, en dash
_SIGN = rf"[{_MINUS}+]"
_CURRENCY = r"[$€£¥₹₩₽¢]"
_THIN = "\u00a0\u2009\u202f"  # no-break and thin spaces: written inside numbers alone
_NUMBER = re.compile(
    # A sign after a letter, a digit or a bracket is a hyphen or a subtraction.
    rf"(?:(?<![\w)\]])(?P<outer>{_SIGN}){_CURRENCY}?|{_CURRENCY}(?P<inner>{_SIGN})?)?"
    # Not a part of a name such as B12, nor of the number before.
    rf"(?<!\w)(?P<digits>(?:\d{{1,3}}(?:[,{_THIN}]\d{{3}})+(?!\d)|\d+)(?:\.\d+)?|(?<!\.)\.\d+)"
)
# A sign, a currency and groups of three set off by plain spaces count only when nothing else stands there.
_WHOLE = re.compile(
    rf"\s*{_SIGN}?\s*{_CURRENCY}?\s*{_SIGN}?\s*\d{{1,3}}(?:\s\d{{3}})*(?:\.\d+)?\s*{_CURRENCY}?[\s.,;:!?]*"
)


def number_match(prediction: str, references: Sequence[str]) -> float:
    """1 when the prediction's number equals a reference's, exactly, else 0.

    Both are read by ``read_number``. A reference without a number is compared by ``exact_match``.

    >>> number_match("So x = -3.", ["-3"]), number_match("3", ["-3"]), number_match("$1,500.00", ["1500"])
    (1.0, 0.0, 1.0)
    """
    said = read_number(prediction)
    return max((_match(prediction, said, reference) for reference in references), default=0.0)


def read_number(text: str) -> Decimal | None:
    """The number that a text is, or else the last one in it; None without any.

    Read are a minus sign (also the typographic one and an en dash), decimals after a point, thousands separators
    (commas and thin spaces; plain spaces when the text is nothing but the number), and currency signs on either side.
    Units, percent signs and punctuation behind a number say nothing about it. Words for numbers, fractions and
    powers are not read, nor a decimal comma.

    >>> read_number("3 bags of 12 make 36 apples."), read_number("twelve")
    (Decimal('36'), None)
    >>> read_number("- 1 200.50 €"), read_number("10-3"), read_number("−$5")
    (Decimal('-1200.50'), Decimal('3'), Decimal('-5'))
    """
    if _WHOLE.fullmatch(text):
        text = "".join(text.split())
    found = list(_NUMBER.finditer(text))
    if not found:
        return None
    last = found[-1]
    # Decimal, not int: it reads any number of digits and compares exactly.
    size = Decimal(re.sub(rf"[,{_THIN}]", "", last["digits"]))
    return size.copy_negate() if (last["outer"] or last["inner"] or "+") in _MINUS else size


def _match(prediction: str, said: Decimal | None, reference: str) -> float:
    wanted = read_number(reference)
    return exact_match(prediction, [reference]) if wanted is None else float(said == wanted)
