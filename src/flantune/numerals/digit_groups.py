"""Figures with separators as a whole part and a fraction: which comma groups thousands, and which point is decimal."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

DecimalSign = Literal[".", ","]

ARABIC_POINT = "٫"
"""Arabic's decimal sign: never anything else, in any language."""
INNER_SPACE = "\u00a0"
"""Stands for every space that is written inside numbers alone: no-break, thin, LaTeX's."""
_GROUPING = frozenset(("'", INNER_SPACE))
_DECIMAL = frozenset((".", ",", ARABIC_POINT))
_SEPARATOR = re.compile(f"[.,'{ARABIC_POINT}{INNER_SPACE}]")


class Digits(NamedTuple):
    """A number without sign, in plain ASCII figures: those before the decimal sign, and those after it."""

    whole: str
    fraction: str = ""


def digits_of(written: str, decimal: DecimalSign = ".") -> Digits | None:
    """The figures of a number; None where no rule makes one number of them (a date, a list, a version).

    Two kinds of separators: the last is decimal, the others group. One kind, several times: it groups, in threes or as
    in India (12,34,567). One comma or point once: decimal, unless exactly three figures follow and one to three,
    without a leading zero, stand before it. Then it groups, if it is not the language's decimal sign.

    Args:
        written: ASCII figures, ``.``, ``,``, ``'``, the Arabic decimal sign, and no-break spaces for any inner space.
        decimal: The decimal sign of the language.

    >>> digits_of("1,234"), digits_of("1.234"), digits_of("1.234", ","), digits_of("1,5")
    (Digits(whole='1234', fraction=''), Digits(whole='1', fraction='234'), Digits(whole='1234', fraction=''),
     Digits(whole='1', fraction='5'))
    >>> digits_of("12,34,567.80"), digits_of("1'200"), digits_of("12.05.2020"), digits_of("1,2,3")
    (Digits(whole='1234567', fraction='80'), Digits(whole='1200', fraction=''), None, None)
    """
    signs = _SEPARATOR.findall(written)
    if not signs:
        return Digits(written)
    last = signs[-1]
    head, _, tail = written.rpartition(last)
    if _is_decimal(signs, head, tail, decimal):
        whole = _grouped(head, set(signs[:-1]))
        return None if whole is None else Digits(whole or "0", tail)
    whole = _grouped(written, set(signs))
    return None if whole is None else Digits(whole)


def _is_decimal(signs: list[str], head: str, tail: str, decimal: DecimalSign) -> bool:
    """Whether the last separator stands before a fraction."""
    last = signs[-1]
    if last not in _DECIMAL or signs.count(last) > 1:
        return False
    if last in (ARABIC_POINT, decimal) or len(signs) > 1:
        return True
    return len(tail) != 3 or len(head) > 3 or head.startswith("0") or not head


def _grouped(written: str, signs: set[str]) -> str | None:
    """The figures of a whole number without the one kind of separator that groups them; None: it does not."""
    if not signs:
        return written
    if len(signs) > 1 or not signs <= _GROUPING | {".", ","}:
        return None
    first, *groups = written.split(signs.pop())
    sizes = [len(group) for group in groups]
    is_by_threes = 1 <= len(first) <= 3 and set(sizes) == {3}
    is_as_in_india = 1 <= len(first) <= 2 and sizes[-1] == 3 and set(sizes[:-1]) == {2}
    return "".join((first, *groups)) if (is_by_threes or is_as_in_india) and first[0] != "0" else None
