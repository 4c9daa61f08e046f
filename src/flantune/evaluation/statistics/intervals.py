"""Intervals of means that lie between two ends: Clopper and Pearson's, on an effective number of rows.

A mean near either end has a skewed distribution, and the spread of a sample that happens to have no bad row is far too
small. So the t-interval of a score contains the truth less often than it claims: 80 to 90% of the time instead of 95 at
p = 0.95 to 0.98 with 30 to 100 rows (``python -m benchmarks interval_coverage``). Here a mean is treated as a share of
right answers among an equivalent number of independent ones, and gets the exact interval of such a share.

Paper: Clopper and Pearson 1934 (the interval); Korn and Graubard 1998 (on an effective sample size); Dean and Pagano
2015 (it keeps its level in clustered samples, where the usual one does not).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ALIKE = 1e-12
"""A smaller spread counts as none."""

_UNSEEN = 1.0
"""Number of units away from the nearer end that the sample is assumed to have missed."""

FEWEST = 0.5
"""Degrees of freedom of a single unit, or of unequal ones of which one has nearly all rows."""

_MANY = 1e9
"""Degrees of freedom at which Student's t is normal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Where a mean may lie, at a level of confidence."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How far an interval extends to either side of its mean.

    Attributes:
        below: From the mean down to the lower end.
        above: From the mean up to the upper end.
        confidence: The level it was made for.
        spread: The observed standard error of the mean; 0 if all agreed, which proves nothing.
        span: Lowest and highest value the mean can have.
    """

    below: float
    above: float
    confidence: float
    spread: float
    span: tuple[float, float]

    def stretched(self, factor: float, *, origin: float) -> Reach:
        """The reach of a mean that is shifted by ``origin`` and then multiplied."""
        low, high = self.span
        return Reach(
            below=self.below * factor,
            above=self.above * factor,
            confidence=self.confidence,
            spread=self.spread * factor,
            span=((low - origin) * factor, (high - origin) * factor),
        )


def exact_interval(value: float, *, answers: float, confidence: float) -> Interval:
    """Clopper and Pearson's interval of a share of right answers; their number may be a fraction.

    For whole numbers its level is never below the nominal one. It is never empty and always within [0, 1].

    >>> exact_interval(0.9, answers=10, confidence=0.95)
    Interval(low=0.554..., high=0.997...)
    >>> exact_interval(1.0, answers=1, confidence=0.95)
    Interval(low=0.025..., high=1.0)
    """
    low, high = exact_ends(np.array(value), answers=np.array(answers), confidence=confidence)
    return Interval(low=float(low), high=float(high))


def exact_ends(value: Floats, *, answers: Floats, confidence: float) -> Floats:
    """The same for many shares: the lower ends, then the upper ones; shape [2, …]."""
    from scipy.special import betaincinv

    right, wrong, tail = value * answers, (1.0 - value) * answers, (1.0 - confidence) / 2.0
    # A share within a rounding error of an end counts as that end.
    low = betaincinv(np.maximum(right, _ALIKE), wrong + 1.0, tail)
    high = betaincinv(right + 1.0, np.maximum(wrong, _ALIKE), 1.0 - tail)
    return np.stack([np.where(right > _ALIKE, low, 0.0), np.where(wrong > _ALIKE, high, 1.0)])


def effective_answers(sums: Floats, sizes: Floats, *, confidence: float) -> Floats:
    """The number of independent right-or-wrong answers with the same uncertainty of the mean as these units.

    A unit is a row, by its mean over templates, or a group of rows. Units that are all right or all wrong count as one
    answer each. Units whose scores are closer together, since their templates disagree, count for more. How close they
    are is estimated, and near an end only from the few units away from it. So one more such unit, entirely right or
    wrong, is assumed to exist that the sample missed. Units of unequal size count for fewer, after Kish.

    Args:
        sums: Sum of the scores of each unit's rows, each score in [0, 1]; shape [..., units], for many samples at once.
        sizes: Rows of each unit, shape [units].
        confidence: Level of the interval; few units give little information on their spread, as with Student's t.

    Returns:
        The number for each sample, shape [...].

    >>> float(effective_answers(np.array([1.0, 0.0, 1.0, 1.0]), np.ones(4), confidence=0.95))
    4.0
    >>> near_a_half = np.tile([0.4, 0.6], 20)
    >>> round(float(effective_answers(near_a_half, np.ones(40), confidence=0.95)))
    589
    """
    rows, alone = float(sizes.sum()), kish(sizes)
    value = sums.sum(axis=-1) / rows
    room = np.maximum(value * (1.0 - value), _ALIKE) * float((sizes**2).sum())
    noise = ((sums - value[..., None] * sizes) ** 2).sum(axis=-1) / room
    distances = np.where(value[..., None] >= 0.5, sizes - sums, sums)
    seen = distances.sum(axis=-1) ** 2 / np.maximum((distances**2).sum(axis=-1), _ALIKE)
    design = _design(noise, seen=seen, units=alone, confidence=confidence)
    return np.asarray(np.where(value * (1.0 - value) < _ALIKE, alone, alone / design))


def effective_of_score(value: float, *, se: float, units: float, confidence: float) -> float:
    """The same for a score that is not a mean (BLEU, F1), from its standard error; both on a scale of [0, 1].

    >>> round(effective_of_score(0.5, se=0.05, units=100, confidence=0.95), 9)
    100.0
    """
    room = value * (1.0 - value)
    if room < _ALIKE:
        return units
    noise, seen = np.array(se**2 / room * units), np.array(units * min(value, 1.0 - value))
    return units / float(_design(noise, seen=seen, units=units, confidence=confidence))


def kish(sizes: Floats) -> float:
    """The number of equal units that these unequal ones are worth.

    Paper: Kish 1965, "Survey Sampling", section 11.2.

    >>> kish(np.array([2.0, 2.0])), kish(np.array([3.0, 1.0]))
    (2.0, 1.6)
    """
    return float(sizes.sum()) ** 2 / float((sizes**2).sum())


def variance_of_mean(sums: Floats, sizes: Floats) -> Floats:
    """The variance of a mean over rows whose units are independent, by leaving out one unit at a time.

    For units of equal size it is the textbook formula. For unequal ones the usual clustered variance is too small: a
    large unit pulls the mean towards itself.

    Args:
        sums: Sum of the scores of each unit's rows, shape [..., units].
        sizes: Rows of each unit, shape [units].

    Paper: Bell and McCaffrey 2002; MacKinnon, Nielsen and Webb 2023 (CV3).

    >>> scores = np.array([1.0, 0.0, 1.0, 1.0])
    >>> float(variance_of_mean(scores, np.ones(4))), float(scores.var(ddof=1) / 4)
    (0.0625, 0.0625)
    """
    rows, units = float(sizes.sum()), len(sizes)
    if units < 2:
        return np.zeros(sums.shape[:-1])
    value = sums.sum(axis=-1)[..., None] / rows
    moves = (sums - value * sizes) / (rows - sizes)
    return np.asarray((moves**2).sum(axis=-1) * (units - 1.0) / units)


def reach_of(value: float, *, answers: float, spread: float, span: tuple[float, float], confidence: float) -> Reach:
    """The reach of the exact interval of a mean of scores between two ends."""
    width = span[1] - span[0]
    share = min(max((value - span[0]) / width, 0.0), 1.0)
    ends = exact_interval(share, answers=answers, confidence=confidence)
    # For less than one answer an end can be on the wrong side of the mean.
    below, above = max(share - ends.low, 0.0), max(ends.high - share, 0.0)
    return Reach(below=below * width, above=above * width, confidence=confidence, spread=spread, span=span)


def t_quantile(confidence: float, df: float) -> float:
    """The number of standard errors that an interval extends to either side.

    >>> round(t_quantile(0.95, 1e9), 2)
    1.96
    """
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.5 + confidence / 2.0))


def _design(noise: Floats, *, seen: Floats, units: float, confidence: float) -> Floats:
    """The variance of a mean relative to that with every unit all right or all wrong.

    Args:
        noise: The observed value.
        seen: The number of units it is based on: the effective number of those away from the nearer end.
        units: The number of units, for unequal ones after Kish.
        confidence: As above.
    """
    if units <= 1.0 + _ALIKE:
        return np.ones_like(noise)
    few = t_quantile(confidence, max(units - 1.0, FEWEST)) / t_quantile(confidence, _MANY)
    doubt = units / (units - 1.0) * few**2
    # Units of equal size cannot differ by more than right from wrong, which bounds the uncertainty.
    likely = np.minimum(noise * doubt, np.maximum(noise, 1.0))
    return np.asarray((seen * likely + _UNSEEN) / (seen + _UNSEEN))
