"""Scores and differences as points on a scale of 0 to 100, formatted uniformly in sentences, tables and figures."""

from __future__ import annotations


def score_points(value: float, *, digits: int = 1) -> str:
    """A score as points; a value that rounds to zero has no sign.

    >>> score_points(0.4126), score_points(-0.031), score_points(-0.0001)
    ('41.3', '-3.1', '0.0')
    """
    return f"{100 * value:z.{digits}f}"


def signed_points(value: float, *, digits: int = 1) -> str:
    """A difference as points with its sign; a value that rounds to zero has none.

    >>> signed_points(0.11), signed_points(-0.042), signed_points(-0.0003), signed_points(-0.0003, digits=2)
    ('+11.0', '-4.2', '0.0', '-0.03')
    """
    text = score_points(value, digits=digits)
    return text if text.startswith("-") or not text.strip("0.") else f"+{text}"


def counted(number: int, noun: str) -> str:
    """A count with its noun.

    >>> counted(1, "task"), counted(4, "task")
    ('1 task', '4 tasks')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
