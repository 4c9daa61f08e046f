"""How much a task's score depends on the wording of the instruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Summary statistics of the scores of a task's templates.

    Attributes:
        std: Standard deviation (n − 1); 0 for a single template. Paper: FLAN 2021, section 2.3.
        median: Median. Paper: T0, section 6.
        iqr: Interquartile range, by linear interpolation. Paper: T0, section 6.
        range: Best minus worst.
    """

    std: float
    median: float
    iqr: float
    range: float


def spread_over_templates(values: Sequence[float]) -> Spread:
    """How much the score depends on the wording of the instruction.

    >>> spread_over_templates([0.2, 0.4, 0.6, 0.8])
    Spread(std=0.258..., median=0.5, iqr=0.3..., range=0.6...)
    """
    worst, lower, middle, upper, best = np.quantile(values, [0.0, 0.25, 0.5, 0.75, 1.0])
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return Spread(std=deviation, median=float(middle), iqr=float(upper - lower), range=float(best - worst))


def agreement_rate(answers: Integers) -> float:
    """Share of rows that get the same answer from every template; shape of ``answers``: [rows, templates].

    A missing answer is −1 and is ignored; rows with fewer than two answers are not counted. 1 with one template.

    >>> agreement_rate(np.array([[1, 1, 1], [0, 1, 0], [1, -1, 1], [0, -1, -1]]))
    0.666...
    """
    is_there = answers >= 0
    asked = answers[is_there.sum(axis=1) > 1]
    if not len(asked):
        return 1.0
    highest = asked.max(axis=1)
    lowest = np.where(asked >= 0, asked, highest[:, None]).min(axis=1)
    return float((highest == lowest).mean())
