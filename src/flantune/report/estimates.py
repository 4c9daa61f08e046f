"""A number with its interval, as the report shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from flantune.report.numbers import as_number, interval, points, signed, span


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with the interval it may lie in; None where it is not known.

    Attributes:
        p: Of a difference: its p-value.
        detectable: Of a difference: the smallest true one that would likely have been found.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    detectable: float | None = None

    @property
    def direction(self) -> Literal["better", "worse", "undecided"]:
        """What the sign of a difference says once its interval is heeded."""
        if self.low is not None and self.low > 0:
            return "better"
        return "worse" if self.high is not None and self.high < 0 else "undecided"

    def score(self) -> str:
        """The number as a score: "41.2"."""
        return points(self.value)

    def signed(self) -> str:
        """The number as a difference: "+11.0"."""
        return signed(self.value)

    def score_span(self) -> str:
        """The interval of a score: "38.0 to 44.1"."""
        return span(self.low, self.high)

    def interval(self) -> str:
        """The interval of a difference: "+8.0 to +14.2"."""
        return interval(self.low, self.high)


def estimate(value: object) -> Estimate:
    """An estimate from its JSON form: an object, a bare number or nothing.

    >>> found = estimate({"value": 0.5, "low": 0.4, "high": float("nan")})
    >>> (found.value, found.low, found.high), estimate(0.5).value, estimate(None).value
    ((0.5, 0.4, None), 0.5, None)
    """
    if isinstance(value, Mapping):
        return Estimate(*(as_number(value.get(key)) for key in ("value", "low", "high", "p", "detectable")))
    return Estimate(as_number(value))
