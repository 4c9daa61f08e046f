"""Means with their uncertainty: clustered by example, paired, combined over tasks.

The unit is the example. One example asked with ten templates gives ten correlated answers, so they count as one
observation: their mean. Treating them as ten independent ones makes intervals up to sqrt(10) too narrow.

A score gets the exact interval on an effective number of answers (``interval_of``), since its distribution is skewed
near its ends. A paired difference gets Student's (``t_interval``), consistent with its p-value (``t_test_p``).

Paper: Miller 2024, "Adding Error Bars to Evals", sections 2 and 3 (clustered standard errors, paired differences).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flantune.evaluation.statistics.intervals import (
    FEWEST,
    Reach,
    effective_answers,
    effective_of_score,
    kish,
    reach_of,
    t_quantile,
    variance_of_mean,
)
from flantune.evaluation.statistics.intervals import Interval as Interval

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

POWER = 0.8
"""The probability of finding the smallest detectable difference."""

SCORE = (0.0, 1.0)
DIFFERENCE = (-1.0, 1.0)

# Number of bootstrap weights in memory at once.
_MOST_WEIGHTS = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A mean with what is needed for its interval.

    Attributes:
        value: The mean.
        se: Its standard error.
        df: Degrees of freedom behind the standard error.
        reach: How far the interval of a score extends; None if it is Student's t.
    """

    value: float
    se: float
    df: float
    reach: Reach | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One task's share in a combined mean.

    Attributes:
        task: Shares of one task were measured on the same rows, so they are not independent.
        weight: The weight of its mean.
    """

    task: str
    weight: float
    mean: Mean


def clustered_mean(
    cells: Floats, *, span: tuple[float, float], confidence: float, groups: Integers | None = None
) -> Mean:
    """The mean over examples of each example's mean over templates; shape of ``cells``: [examples, templates].

    A missing cell is nan and left out of its example's mean; an example without any cell is left out.

    Args:
        cells: Scores of the examples under each template.
        span: Lowest and highest possible value of a cell.
        confidence: Level of the intended interval.
        groups: Group of each example, shape [examples]: examples of one group are one observation, weighted by their
            number. None: all are independent.

    >>> cells = np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    >>> clustered_mean(cells, span=SCORE, confidence=0.95).value
    0.5
    >>> one_question = clustered_mean(cells, span=SCORE, confidence=0.95, groups=np.array([0, 0, 1]))
    >>> one_question.value, round(one_question.df, 9)
    (0.5, 0.8)
    """
    units, members = units_of(cells, groups)
    sizes = np.bincount(members).astype(np.float64)
    # Scores rescaled to [0, 1].
    width = span[1] - span[0]
    sums = np.bincount(members, weights=(units - span[0]) / width).astype(np.float64)
    se = math.sqrt(float(variance_of_mean(sums, sizes))) * width
    answers = float(effective_answers(sums, sizes, confidence=confidence))
    return measured_mean(
        float(units.mean()), se=se, examples=kish(sizes), span=span, confidence=confidence, answers=answers
    )


def units_of(cells: Floats, groups: Integers | None = None) -> tuple[Floats, Integers]:
    """Each example's mean over templates, and its group numbered from 0; examples without any cell are left out."""
    is_there = ~np.isnan(cells).all(axis=1)
    members = np.arange(len(cells)) if groups is None else groups
    return np.nanmean(cells[is_there], axis=1), np.unique(members[is_there], return_inverse=True)[1]


def bootstrap_mean(scores: Floats, *, examples: int, span: tuple[float, float], confidence: float) -> Mean:
    """The same for a score that is not a mean over examples (BLEU), from its values on bootstrap replicates.

    Args:
        scores: The score of the examples, then the scores of the bootstrap replicates.
        examples: Number of examples.
        span: Lowest and highest possible score.
        confidence: As in ``clustered_mean``.
    """
    value, se, width = float(scores[0]), float(scores[1:].std(ddof=1)), span[1] - span[0]
    share = min(max((value - span[0]) / width, 0.0), 1.0)
    answers = effective_of_score(share, se=se / width, units=examples, confidence=confidence)
    return measured_mean(value, se=se, examples=examples, span=span, confidence=confidence, answers=answers)


def resample(
    score: Callable[[Floats], Floats], *, examples: int, replicates: int, seed: int, groups: Integers | None = None
) -> Floats:
    """A score on the examples, then on bootstrap replicates; shape [1 + replicates].

    Whole examples are drawn with replacement, which keeps an example's templates together; with groups, whole groups.
    The same seed draws the same examples, so that two models are compared on equal replicates. The counts of all
    examples are one multinomial draw, so that a score of sums is a matrix product.

    Args:
        score: Weights of the examples [n, examples] to scores [n].
        examples: Their number.
        replicates: Number of replicates.
        seed: Seed of the draws.
        groups: Group of each example, numbered from 0; None: all are independent.
    """
    generator = np.random.Generator(np.random.Philox(key=seed))
    count = examples if groups is None else int(groups.max()) + 1
    shares = np.full(count, 1.0 / count)
    scores = [score(np.ones((1, examples)))]
    block = max(1, _MOST_WEIGHTS // examples)
    for start in range(0, replicates, block):
        drawn = generator.multinomial(count, shares, size=min(block, replicates - start)).astype(np.float64)
        scores.append(score(drawn if groups is None else drawn[:, groups]))
    return np.concatenate(scores)


def resampled_mean(cells: Floats, *, replicates: int, seed: int, groups: Integers | None = None) -> Floats:
    """``clustered_mean``'s value on the examples, then on bootstrap replicates."""
    units, members = units_of(cells, groups)

    def score(weights: Floats) -> Floats:
        return np.asarray(weights @ units / np.maximum(weights.sum(axis=1), 1.0))

    return resample(score, examples=len(units), replicates=replicates, seed=seed, groups=members)


def percentile_interval(replicates: Floats, *, confidence: float) -> Interval:
    """The bootstrap interval, between percentiles of the replicates.

    >>> percentile_interval(np.arange(101.0), confidence=0.5)
    Interval(low=25.0, high=75.0)
    """
    low, high = np.quantile(replicates, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    return Interval(low=float(low), high=float(high))


def bootstrap_p(replicates: Floats) -> float:
    """Two-sided p-value of a difference: twice the share of replicates on zero's rarer side, with the sample itself.

    >>> bootstrap_p(np.array([0.1, 0.2, 0.3, -0.1]))
    0.8
    """
    below, above = int((replicates <= 0.0).sum()), int((replicates >= 0.0).sum())
    return min(1.0, 2.0 * (min(below, above) + 1) / (len(replicates) + 1))


def measured_mean(
    value: float,
    *,
    se: float,
    examples: float,
    span: tuple[float, float],
    confidence: float,
    answers: float | None = None,
) -> Mean:
    """A mean over examples; if all agree, its standard error allows for unseen dissenters.

    No spread in the sample does not mean none in the task: with all of n examples right, up to 1 − (α/2)^(1/n) of the
    task's examples may still be wrong (Clopper and Pearson). Two right answers out of two prove nothing.

    Args:
        value: The mean.
        se: Its standard error.
        examples: Their number.
        span: Lowest and highest value possible.
        confidence: Level of the intended interval.
        answers: The number of independent right-or-wrong answers they are worth; None: the interval is Student's t.

    >>> round(measured_mean(1.0, se=0.0, examples=200, span=SCORE, confidence=0.95).se, 4)
    0.0093
    """
    df, spread = max(examples - 1.0, FEWEST), se
    if se <= 1e-12:
        dissent = 1.0 - ((1.0 - confidence) / 2.0) ** (1.0 / max(examples, 1.0))
        se = dissent * max(value - span[0], span[1] - value) / t_quantile(confidence, df)
    if answers is None:
        return Mean(value=value, se=se, df=df)
    reach = reach_of(value, answers=answers, spread=spread, span=span, confidence=confidence)
    return Mean(value=value, se=se, df=df, reach=reach)


def combine(shares: Iterable[Share]) -> Mean:
    """The weighted sum of task means, with the tasks held fixed: only the examples vary.

    Tasks are independent of each other; shares of the same task (measured in two folds, or counted in two clusters)
    are treated as fully correlated, which can only widen the interval. Degrees of freedom are after Welch and
    Satterthwaite. Intervals of scores are skewed, so the distances below and above the mean are combined separately, as
    root sums of squares. For many tasks near an end that is too short on the side of the end, where tasks without a
    mistake do not extend; so no side is shorter than in the exact interval of the sum with its own standard error.

    Paper: Zou and Donner 2008 (intervals of sums from intervals of their parts).

    >>> one, two = Mean(value=0.4, se=0.03, df=99), Mean(value=0.6, se=0.04, df=99)
    >>> both = combine([Share(task="a", weight=0.5, mean=one), Share(task="b", weight=0.5, mean=two)])
    >>> both.value, round(both.se, 4)
    (0.5, 0.025)
    """
    shares = list(shares)
    spreads: dict[str, float] = {}
    freedoms: dict[str, float] = {}
    for share in shares:
        spreads[share.task] = spreads.get(share.task, 0.0) + abs(share.weight) * share.mean.se
        freedoms[share.task] = min(freedoms.get(share.task, math.inf), share.mean.df)
    variance = math.fsum(s**2 for s in spreads.values())
    fourth = math.fsum(s**4 / freedoms[task] for task, s in spreads.items())
    value = math.fsum(share.weight * share.mean.value for share in shares)
    df = variance**2 / fourth if fourth > 0 else 1.0
    return Mean(value=value, se=math.sqrt(variance), df=df, reach=_combined_reach(shares, value))


def _combined_reach(shares: Sequence[Share], value: float) -> Reach | None:
    """How far the interval of a weighted sum extends; None if that of some share is Student's."""
    sides: dict[str, list[float]] = {}
    low = high = confidence = 0.0
    for share in shares:
        if share.mean.reach is None:
            return None
        reach, weight = share.mean.reach, abs(share.weight)
        is_turned, confidence = share.weight < 0.0, reach.confidence
        ends = (reach.above, reach.below) if is_turned else (reach.below, reach.above)
        task = sides.setdefault(share.task, [0.0, 0.0, 0.0])
        for at, side in enumerate((*ends, reach.spread)):
            task[at] += weight * side
        least, most = sorted(share.weight * end for end in reach.span)
        low, high = low + least, high + most
    if not sides:
        return None
    below, above, spread = (math.hypot(*column) for column in zip(*sides.values(), strict=True))
    found = Reach(below=below, above=above, confidence=confidence, spread=spread, span=(low, high))
    room = (value - low) * (high - value)
    if len(sides) == 1 or spread <= 1e-12 or room <= 0.0:
        return found
    whole = reach_of(value, answers=room / spread**2, spread=spread, span=(low, high), confidence=confidence)
    return replace(found, below=max(below, whole.below), above=max(above, whole.above))


def interval_of(mean: Mean, *, confidence: float, span: tuple[float, float]) -> Interval:
    """The interval around a score, or a mean of scores, clipped to the possible values.

    Raises:
        ValueError: The mean was made for another level of confidence.

    >>> right = clustered_mean(np.ones((20, 3)), span=SCORE, confidence=0.95)
    >>> interval_of(right, confidence=0.95, span=SCORE)
    Interval(low=0.831..., high=1.0)
    """
    if mean.reach is None:
        return t_interval(mean, confidence=confidence, span=span)
    if mean.reach.confidence != confidence:
        raise ValueError(f"a mean made for {mean.reach.confidence} confidence has no interval at {confidence}")
    return Interval(low=max(mean.value - mean.reach.below, span[0]), high=min(mean.value + mean.reach.above, span[1]))


def t_interval(mean: Mean, *, confidence: float, span: tuple[float, float]) -> Interval:
    """The interval around a difference by Student's t, clipped to the possible values.

    >>> t_interval(Mean(value=0.5, se=0.1, df=10), confidence=0.95, span=SCORE)
    Interval(low=0.277..., high=0.722...)
    """
    half = t_quantile(confidence, mean.df) * mean.se
    return Interval(low=max(mean.value - half, span[0]), high=min(mean.value + half, span[1]))


def t_test_p(mean: Mean) -> float:
    """Two-sided p-value of no difference, consistent with ``t_interval``.

    >>> round(t_test_p(Mean(value=0.2, se=0.1, df=1e9)), 4)
    0.0455
    """
    from scipy.special import stdtr

    if mean.se <= 0.0:
        return 1.0 if mean.value == 0.0 else 0.0
    return float(2.0 * stdtr(mean.df, -abs(mean.value) / mean.se))


def detectable_difference(mean: Mean, *, confidence: float, power: float = POWER) -> float:
    """The smallest true difference that a measurement with this precision would find significant with 80% power.

    A smaller difference was unlikely to be found: detecting it needs more rows, four times as many for half of it.

    Paper: Miller 2024, "Adding Error Bars to Evals", section 5.

    >>> round(detectable_difference(Mean(value=0.0, se=0.01, df=1e9), confidence=0.95), 4)
    0.028
    """
    from scipy.special import stdtrit

    return (t_quantile(confidence, mean.df) + float(stdtrit(mean.df, power))) * mean.se


def false_discovery_rates(p_values: Sequence[float]) -> tuple[float, ...]:
    """Benjamini and Hochberg's q-values: of the tasks with q ≤ 0.05, 5% are expected not to have changed.

    Without them, one unchanged task in twenty would seem to have changed.

    Paper: Benjamini and Hochberg 1995.

    >>> false_discovery_rates([0.01, 0.04, 0.03, 0.5])
    (0.04, 0.053..., 0.053..., 0.5)
    """
    count = len(p_values)
    order = sorted(range(count), key=lambda at: p_values[at], reverse=True)
    rates, lowest = [1.0] * count, 1.0
    for place, at in enumerate(order):
        lowest = min(lowest, p_values[at] * count / (count - place))
        rates[at] = lowest
    return tuple(rates)


def mcnemar_p(base: Floats, tuned: Floats) -> float:
    """Exact McNemar test: the probability of such an uneven number of flips if both models were equally good.

    Args:
        base: 0/1 per example and template, shape [examples, templates]; nan where missing.
        tuned: The same cells of the other model.

    An example counts as right if more than half of its templates are, so that each example counts once. One whose
    templates are split evenly under either model is left out.

    >>> mcnemar_p(np.array([[0.0], [0.0], [0.0], [1.0]]), np.array([[1.0], [1.0], [1.0], [1.0]]))
    0.25
    """
    from scipy.special import bdtr

    was, now = (np.sign(np.round(units_of(cells)[0] - 0.5, 9)) for cells in (base, tuned))
    gained, lost = int(((was < 0) & (now > 0)).sum()), int(((was > 0) & (now < 0)).sum())
    if gained + lost == 0:
        return 1.0
    return min(1.0, 2.0 * float(bdtr(min(gained, lost), gained + lost, 0.5)))


def above_chance(mean: Mean, chance: float, *, is_difference: bool = False) -> Mean:
    """A mean as a share of the way from guessing to perfect; worse than guessing is negative, without clipping.

    Args:
        mean: A score, or a difference of two scores of the same task.
        chance: The score of guessing.
        is_difference: Whether it is a difference, which is scaled but not shifted.

    Paper: Flan 2022, section 2.3 (normalized scores), without the factor 100.

    >>> round(above_chance(Mean(value=0.55, se=0.01, df=99), 0.5).value, 3)
    0.1
    """
    room = 1.0 - chance
    if room <= 0.0:
        # With a single option every answer is right: nothing can be better or worse than guessing.
        return Mean(value=0.0, se=0.0, df=mean.df)
    origin = 0.0 if is_difference else chance
    reach = mean.reach and mean.reach.stretched(1.0 / room, origin=origin)
    return Mean(value=(mean.value - origin) / room, se=mean.se / room, df=mean.df, reach=reach)
