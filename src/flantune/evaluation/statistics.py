"""Means that say how far they can be trusted: clustered by example, paired, combined over tasks.

The unit is the example. One example asked with ten templates gives ten answers that rise and fall together, so they
count as one observation: their mean. Treating them as ten independent ones makes intervals up to sqrt(10) too narrow.

Paper: Miller 2024, "Adding Error Bars to Evals", sections 2 and 3 (clustered standard errors, paired differences).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SCORE = (0.0, 1.0)
DIFFERENCE = (-1.0, 1.0)

# Bootstrap weights held in memory at once.
_MOST_WEIGHTS = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A mean and what is needed to put an interval around it.

    Attributes:
        value: The mean.
        se: Its standard error.
        df: Degrees of freedom behind the standard error.
    """

    value: float
    se: float
    df: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Where a mean may lie, at some level of confidence."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The scores of a task's templates, described.

    Attributes:
        std: Standard deviation (n − 1); 0 for a single template. Paper: FLAN 2021, section 2.3.
        median: Median. Paper: T0, section 6.
        iqr: Interquartile range, by linear interpolation. Paper: T0, section 6.
    """

    std: float
    median: float
    iqr: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One task's share in a combined mean.

    Attributes:
        task: Parts of one task were measured on the same rows, so they are not independent of each other.
        weight: What its mean is multiplied by.
        mean: Its mean.
    """

    task: str
    weight: float
    mean: Mean


def clustered_mean(cells: Floats, *, span: tuple[float, float], confidence: float) -> Mean:
    """The mean over examples of each example's mean over templates; shape of ``cells``: [examples, templates].

    A missing cell is nan and left out of its example's mean.

    Args:
        cells: Scores of the examples under each template.
        span: Lowest and highest possible value of a cell.
        confidence: Level at which the interval will be asked for; only used when all examples agree.

    >>> clustered_mean(np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]), span=SCORE, confidence=0.95).value
    0.5
    """
    units = np.nanmean(cells, axis=1)
    count = len(units)
    se = float(units.std(ddof=1) / math.sqrt(count)) if count > 1 else 0.0
    return measured_mean(float(units.mean()), se=se, examples=count, span=span, confidence=confidence)


def bootstrap_mean(scores: Floats, *, examples: int, span: tuple[float, float], confidence: float) -> Mean:
    """The same for a score that is no mean over examples (BLEU), from what it was on redrawn examples.

    Args:
        scores: The score of the examples as they are, then its score on each bootstrap replicate.
        examples: How many examples there are.
        span: Lowest and highest possible score.
        confidence: As for ``clustered_mean``.
    """
    se = float(scores[1:].std(ddof=1))
    return measured_mean(float(scores[0]), se=se, examples=examples, span=span, confidence=confidence)


def resample(score: Callable[[Floats], Floats], *, examples: int, replicates: int, seed: int) -> Floats:
    """A score on the examples as they are, then on bootstrap replicates; shape [1 + replicates].

    Whole examples are drawn with replacement, which keeps an example's templates together. The same seed draws the
    same examples, so that two models are compared on equal replicates.

    Args:
        score: Weights of the examples [n, examples] to scores [n].
        examples: How many there are.
        replicates: How many times they are drawn.
        seed: Names the draws.
    """
    generator = np.random.Generator(np.random.Philox(key=seed))
    shares = np.full(examples, 1.0 / examples)
    scores = [score(np.ones((1, examples)))]
    block = max(1, _MOST_WEIGHTS // examples)
    for start in range(0, replicates, block):
        weights = generator.multinomial(examples, shares, size=min(block, replicates - start))
        scores.append(score(weights.astype(np.float64)))
    return np.concatenate(scores)


def measured_mean(value: float, *, se: float, examples: int, span: tuple[float, float], confidence: float) -> Mean:
    """A mean of so many examples; when they all agree, its standard error is that of the rarest dissenter unseen.

    No spread in the sample does not mean none in the task: with all of n examples right, up to 1 − (α/2)^(1/n) of the
    task's examples may still be wrong (Clopper and Pearson). Two right answers out of two are no proof of anything.

    >>> round(measured_mean(1.0, se=0.0, examples=200, span=SCORE, confidence=0.95).se, 4)
    0.0093
    """
    df = max(examples - 1, 1)
    if se > 1e-12:
        return Mean(value=value, se=se, df=df)
    dissent = 1.0 - ((1.0 - confidence) / 2.0) ** (1.0 / examples)
    reach = max(value - span[0], span[1] - value)
    return Mean(value=value, se=dissent * reach / t_quantile(confidence, df), df=df)


def combine(parts: Iterable[Part]) -> Mean:
    """The weighted sum of task means, with the tasks held fixed: only the examples could have been others.

    Tasks are independent of each other; parts of the same task (measured in two folds, or counted in two clusters)
    are treated as rising and falling together, which can only widen the interval. Degrees of freedom after
    Welch and Satterthwaite.

    >>> one, two = Mean(value=0.4, se=0.03, df=99), Mean(value=0.6, se=0.04, df=99)
    >>> both = combine([Part(task="a", weight=0.5, mean=one), Part(task="b", weight=0.5, mean=two)])
    >>> both.value, round(both.se, 4)
    (0.5, 0.025)
    """
    parts = list(parts)
    spreads: dict[str, float] = {}
    freedoms: dict[str, float] = {}
    for part in parts:
        spreads[part.task] = spreads.get(part.task, 0.0) + abs(part.weight) * part.mean.se
        freedoms[part.task] = min(freedoms.get(part.task, math.inf), part.mean.df)
    variance = math.fsum(s**2 for s in spreads.values())
    fourth = math.fsum(s**4 / freedoms[task] for task, s in spreads.items())
    value = math.fsum(part.weight * part.mean.value for part in parts)
    return Mean(value=value, se=math.sqrt(variance), df=variance**2 / fourth if fourth > 0 else 1.0)


def t_interval(mean: Mean, *, confidence: float, span: tuple[float, float]) -> Interval:
    """The interval around a mean by Student's t, cut to the values that are possible.

    >>> t_interval(Mean(value=0.5, se=0.1, df=10), confidence=0.95, span=SCORE)
    Interval(low=0.277..., high=0.722...)
    """
    half = t_quantile(confidence, mean.df) * mean.se
    return Interval(low=max(mean.value - half, span[0]), high=min(mean.value + half, span[1]))


def t_quantile(confidence: float, df: float) -> float:
    """How many standard errors an interval reaches to either side.

    >>> round(t_quantile(0.95, 1e9), 2)
    1.96
    """
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.5 + confidence / 2.0))


def mcnemar_p(base: Floats, tuned: Floats) -> float:
    """Exact McNemar test: how likely so uneven a count of flips would be if both models were equally good.

    Args:
        base: 0/1 per example and template, shape [examples, templates]; nan where missing.
        tuned: The same cells of the other model.

    An example counts as right when more than half of its templates are, so that each example is asked once.

    >>> mcnemar_p(np.array([[0.0], [0.0], [0.0], [1.0]]), np.array([[1.0], [1.0], [1.0], [1.0]]))
    0.25
    """
    from scipy.special import bdtr

    was, now = np.nanmean(base, axis=1) > 0.5, np.nanmean(tuned, axis=1) > 0.5
    gained, lost = int((now & ~was).sum()), int((was & ~now).sum())
    if gained + lost == 0:
        return 1.0
    return min(1.0, 2.0 * float(bdtr(min(gained, lost), gained + lost, 0.5)))


def above_chance(mean: Mean, chance: float, *, is_difference: bool = False) -> Mean:
    """A mean as a share of the way from guessing to perfect; worse than guessing is negative, and is not cut off.

    Args:
        mean: A score, or a difference of two scores of the same task.
        chance: What guessing scores.
        is_difference: Differences are stretched but not shifted.

    Paper: Flan 2022, section 2.3 (normalized scores), without the factor 100.

    >>> round(above_chance(Mean(value=0.55, se=0.01, df=99), 0.5).value, 3)
    0.1
    """
    room = 1.0 - chance
    if room <= 0.0:
        # With a single option every answer is right: there is no way to be better than guessing, nor worse.
        return Mean(value=0.0, se=0.0, df=mean.df)
    origin = 0.0 if is_difference else chance
    return Mean(value=(mean.value - origin) / room, se=mean.se / room, df=mean.df)


def spread_over_templates(values: Sequence[float]) -> Spread:
    """How much the score depends on the wording of the instruction.

    >>> spread_over_templates([0.2, 0.4, 0.6, 0.8])
    Spread(std=0.258..., median=0.5, iqr=0.3...)
    """
    lower, middle, upper = np.quantile(values, [0.25, 0.5, 0.75])
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return Spread(std=deviation, median=float(middle), iqr=float(upper - lower))
