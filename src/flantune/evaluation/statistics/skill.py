"""Skill apart from preference: how well a model's option scores predict the right answer, whichever it prefers.

Raw accuracy asks whether the right option has the highest score. A model with too strong a preference for one label
fails that on most rows, although its scores may order the rows well; one whose preference has changed may gain points
without knowing more. Two numbers exclude the preference:

*Discrimination* is the area under the ROC curve: how often a row whose right answer is a label gives this label better
odds than a row with another right answer, with ties counting half. A preference that is the same in all rows cancels
out.

*Batch-calibrated accuracy* removes the preference before choosing: each label's log mean probability over the
template's rows is subtracted from its log-probability. No gold answer is used.

Both are computed for each template and averaged. Each comes with every row's contribution to its error, so that rows
stay together over templates, in groups, and in the paired difference of two models.

Papers: Zhou et al. 2023, "Batch Calibration"; DeLong et al. 1988 (areas, compared); Obuchowski 1997 (in clusters).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flantune.evaluation.statistics.intervals import FEWEST, kish, t_quantile
from flantune.evaluation.statistics.means import Interval, Mean, measured_mean

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Log-probabilities closer than this are not distinguished by the arithmetic (see ``rank_classification``).
_DECIMALS = 5
_TOLERANCE = 1e-5

# Standard deviation of a fair coin flip with values 0 and 1.
_MOST_SPREAD = 0.5

# A label's batch mean is shifted by this many standard errors in both directions, to see how accuracy depends on it.
_STEP = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The place of each label's option in the prompts, if it is not the same in all of them.

    Attributes:
        at: Place of each label's option, [rows, templates, labels]; -1 if it was not shown.
        names: Names of the places.
        are_written: Whether the answer of most prompts is the place itself: its letter.
    """

    at: Integers
    names: tuple[str, ...]
    are_written: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedOptions:
    """The option scores of one model on one task, by label.

    Attributes:
        scores: Score of each label's option, [rows, templates, labels]; nan if a row has no such option or a prompt was
            dropped.
        gold: The right label of each row, [rows]; -1 if unknown.
        names: Names of the labels.
        by_place: Whether labels are places in the list of options, because the options change from row to row.
        groups: Group of each row, numbered from 0: rows of one group are one observation, [rows].
        places: The places of the options, if they change from prompt to prompt; otherwise None.
    """

    scores: Floats
    gold: Integers
    names: tuple[str, ...]
    by_place: bool
    groups: Integers
    places: Places | None = None

    def only(self, keep: NDArray[np.bool_] | NDArray[np.intp]) -> RankedOptions:
        """The same for some of the rows, by mask or by index."""
        groups = np.unique(self.groups[keep], return_inverse=True)[1]
        places = None if self.places is None else replace(self.places, at=self.places.at[keep])
        return replace(self, scores=self.scores[keep], gold=self.gold[keep], groups=groups, places=places)


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateByRow:
    """A number with each row's contribution to its error.

    Attributes:
        each: The number for each template, [templates]; nan if not defined.
        errors: Each row's contribution to the error of the mean over templates, [rows]. The sum of their squares (for
            groups, of the groups' sums) is the mean's variance; the difference of two models' errors is that of their
            difference.
        strata: The stratum of each row, [rows]: rows with the same right label. -1: the row contributes nothing.
        groups: Group of each row, [rows].
    """

    each: Floats
    errors: Floats
    strata: Integers
    groups: Integers

    @property
    def value(self) -> float:
        """The mean over templates."""
        return float(np.nanmean(self.each))

    def mean(self, *, confidence: float) -> Mean:
        """The mean over templates with its standard error.

        Near 0 and 1 a few rows give too little information on the spread of the others: n / (n - 2) instead of DeLong's
        root of n / (n - 1) maintains the intervals' level (``benchmarks/skill_coverage.py``).
        """
        errors = self.errors * self._without_own_group()
        for one, count in self._observations().items():
            errors[self.strata == one] *= math.sqrt(count * max(count - 1.0, 0.0)) / max(count - 2.0, 1.0) or 1.0
        return self._mean(self.value, errors, span=(0.0, 1.0), confidence=confidence)

    def change(self, other: EstimateByRow, *, confidence: float) -> Mean:
        """The other model's number minus this one's, paired by row."""
        errors = (other.errors - self.errors) * self._without_own_group()
        for one in self._observations():
            alone = self.strata == one
            if len(np.unique(self.groups[alone])) == 1:  # the correlation of the two models' errors is unknown
                errors[alone] = np.abs(self.errors[alone]) + np.abs(other.errors[alone])
        return self._mean(other.value - self.value, errors, span=(-1.0, 1.0), confidence=confidence)

    def _without_own_group(self) -> Floats:
        """A factor per row that corrects errors relative to a mean that includes the row's own group, [rows].

        The errors become those of leaving out one group at a time (``intervals.variance_of_mean``): a group with most
        rows of a stratum pulls the mean towards itself. For single rows it is the root of n / (n - 1), DeLong's.

        Paper: Bell and McCaffrey 2002.
        """
        scale = np.ones(len(self.strata))
        for one in self._strata():
            rows = self.strata == one
            _, members, sizes = np.unique(self.groups[rows], return_inverse=True, return_counts=True)
            if len(sizes) > 1:
                rest = 1.0 - sizes[members] / sizes.sum()
                scale[rows] = math.sqrt(1.0 - 1.0 / len(sizes)) / rest
        return scale

    def _mean(self, value: float, errors: Floats, *, span: tuple[float, float], confidence: float) -> Mean:
        sums = np.bincount(self.groups, weights=errors)
        se, counts = math.sqrt(float((sums**2).sum())), self._observations()
        if se <= 1e-12:
            return measured_mean(value, se=0.0, examples=min(counts.values()), span=span, confidence=confidence)
        # Degrees of freedom after Welch and Satterthwaite: those of the strata, by their share of the variance.
        parts = {one: float((errors[self.strata == one] ** 2).sum()) for one in counts}
        spread = math.fsum(part**2 / max(counts[one] - 1.0, FEWEST) for one, part in parts.items())
        df = math.fsum(parts.values()) ** 2 / spread if spread else FEWEST
        # A group with rows of several labels is still one observation.
        whole = _observations(self.groups[self.strata >= 0])
        return Mean(value=value, se=se, df=min(df, max(whole - 1.0, FEWEST)))

    def _strata(self) -> list[int]:
        return [int(one) for one in np.unique(self.strata) if one >= 0]

    def _observations(self) -> dict[int, float]:
        """Stratum → how many equal groups its rows are worth; rows without a stratum (-1) left out."""
        return {one: _observations(self.groups[self.strata == one]) for one in self._strata()}


def _observations(groups: Integers) -> float:
    return kish(np.unique(groups, return_counts=True)[1].astype(np.float64))


def discrimination(options: RankedOptions) -> EstimateByRow | None:
    """Area under the ROC curve of each template; None if the gold answers have only one label.

    For two labels: of the difference of their scores. For more: one label against the rest, by the log-odds of the
    label's probability among the row's options, averaged over the labels that occur as gold answers; with two labels
    that is the same. The run's own normalization is used, so that raw accuracy and discrimination are made from the
    same scores.

    Papers: Hanley and McNeil 1982; DeLong et al. 1988 (each row's placement among the rows of the other kind).

    >>> scores = np.array([[[-1.0, -3.0]], [[-1.0, -1.5]], [[-1.0, -2.0]]])
    >>> options = RankedOptions(scores=scores, gold=np.array([0, 1, 0]), names=("no", "yes"), by_place=False,
    ...                         groups=np.arange(3))
    >>> discrimination(options).value
    1.0
    """
    labels = [int(label) for label in np.unique(options.gold) if label >= 0]
    if len(labels) < 2:
        return None
    rows, templates, count = options.scores.shape
    if count == 2:
        labels = labels[1:]  # the other label's area is the same
    odds = log_odds(options.scores.reshape(-1, count)).reshape(rows, templates, count)
    return _over_templates(odds, options, options.gold, lambda each: _areas(each, options.gold, labels))


def calibrated_accuracy(options: RankedOptions) -> EstimateByRow | None:
    """Accuracy after batch calibration, for each template; None if no row has a right label.

    A row's scores become probabilities that sum to one over its options, so that every row has equal weight in the
    mean, however likely its options are as texts. Tied options share the credit: a model with the same scores for every
    row is left with guessing.

    Paper: Zhou et al. 2023, "Batch Calibration".

    >>> scores = np.array([[[-1.0, -3.0]], [[-1.0, -1.5]], [[-1.0, -2.5]], [[-1.0, -1.6]]])
    >>> options = RankedOptions(scores=scores, gold=np.array([0, 1, 0, 1]), names=("no", "yes"), by_place=False,
    ...                         groups=np.arange(4))
    >>> calibrated_accuracy(options).value
    1.0
    """
    strata = np.where(options.gold >= 0, 0, -1)
    return _over_templates(options.scores, options, strata, lambda scores: _calibrated(scores, options.gold))


def log_odds(scores: Floats) -> Floats:
    """Log-odds of each option against the others of its row, [rows, labels]; nan if there is no such option.

    >>> log_odds(np.log(np.array([[0.5, 0.25, 0.25]]))).round(3)
    array([[ 0.   , -1.099, -1.099]])
    """
    filled = np.where(np.isnan(scores), -np.inf, scores)
    first = filled.argmax(axis=1)[:, None]
    best = np.take_along_axis(filled, first, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = np.exp(filled - best)
        odds = scores - best - np.log(weights.sum(axis=1, keepdims=True) - weights)
        # The best option's rivals may be too far below it to matter in a sum that includes it.
        np.put_along_axis(filled, first, -np.inf, axis=1)
        second = filled.max(axis=1, keepdims=True)
        rivals = second + np.log(np.exp(filled - second).sum(axis=1, keepdims=True))
        np.put_along_axis(odds, first, best - rivals, axis=1)
    return np.where(np.isfinite(odds), np.round(odds, _DECIMALS), np.nan)


def midranks(values: Floats) -> Floats:
    """Rank of each value from 1; equal values share their mean rank.

    >>> midranks(np.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((counts.cumsum() - (counts - 1) / 2.0)[place])


def logit_interval(mean: Mean, *, confidence: float) -> Interval:
    """The interval of a share or an area, computed on the scale of log-odds so that its ends stay within 0 and 1.

    >>> logit_interval(Mean(value=0.9, se=0.05, df=1e9), confidence=0.95)
    Interval(low=0.75..., high=0.96...)
    """
    reach = t_quantile(confidence, mean.df) * mean.se
    room = mean.value * (1.0 - mean.value)
    if room <= 1e-12:
        return Interval(low=max(mean.value - reach, 0.0), high=min(mean.value + reach, 1.0))
    middle, half = math.log(mean.value / (1.0 - mean.value)), min(reach / room, 700.0)
    return Interval(low=_expit(middle - half), high=_expit(middle + half))


def _expit(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value)) if value > -700.0 else 0.0


def _over_templates(
    scores: Floats, options: RankedOptions, strata: Integers, measure: Callable[[Floats], tuple[float, Floats]]
) -> EstimateByRow | None:
    """The mean over templates of a number, with each row's contribution to its error; None if no template has it."""
    found = [measure(scores[:, at]) for at in range(scores.shape[1])]
    errors = [error for value, error in found if not math.isnan(value)]
    if not errors:
        return None
    each = np.array([value for value, _ in found])
    return EstimateByRow(each=each, errors=np.mean(errors, axis=0), strata=strata, groups=options.groups)


def _areas(odds: Floats, gold: Integers, labels: Sequence[int]) -> tuple[float, Floats]:
    """The mean of one template's areas, one label against the rest, and each row's contribution to its error."""
    found = [_area(odds[:, label], gold, label) for label in labels]
    defined = [one for one in found if not math.isnan(one[0])]
    if not defined:
        return math.nan, np.zeros(len(gold))
    return math.fsum(area for area, _ in defined) / len(defined), np.mean([error for _, error in defined], axis=0)


def _area(odds: Floats, gold: Integers, label: int) -> tuple[float, Floats]:
    """The area of one label against the rest, and each row's contribution to its error."""
    errors = np.zeros(len(odds))
    known = ~np.isnan(odds) & (gold >= 0)
    right, wrong = known & (gold == label), known & (gold != label)
    if not right.any() or not wrong.any():
        return math.nan, errors
    ranks = np.zeros(len(odds))
    ranks[known] = midranks(odds[known])
    above = (ranks[right] - midranks(odds[right])) / wrong.sum()
    below = 1.0 - (ranks[wrong] - midranks(odds[wrong])) / right.sum()
    area = float(above.mean())
    for rows, placed in ((right, above), (wrong, below)):
        # A single row has no spread: the largest spread of a share is assumed.
        errors[rows] = (placed - area) / len(placed) if len(placed) > 1 else _MOST_SPREAD
    return area, errors


def _calibrated(scores: Floats, gold: Integers) -> tuple[float, Floats]:
    """One template's calibrated accuracy, and each row's contribution to its error."""
    errors = np.zeros(len(scores))
    asked = ~np.isnan(scores).all(axis=1) & (gold >= 0)
    if not asked.any():
        return math.nan, errors
    # In logs throughout: a label far behind in every row has probabilities too small for a float, but still a mean.
    shares = _log_probabilities(scores[asked])
    has = ~np.isnan(shares)
    counts = np.maximum(has.sum(axis=0), 1)
    means = _log_sum(shares, axis=0) - np.log(counts)
    with np.errstate(invalid="ignore"):
        adjusted = np.where(has, shares - means, -np.inf)
        moves = np.where(has, np.exp(adjusted) - 1.0, 0.0) / counts
    adjusted = np.where(np.isnan(adjusted), -np.inf, adjusted)
    rows, right = np.arange(len(adjusted)), gold[asked]
    tied = adjusted >= adjusted.max(axis=1, keepdims=True) - _TOLERANCE
    credit = tied[rows, right] / tied.sum(axis=1)
    value = float(credit.mean())
    steps = _STEP * np.sqrt((moves**2).sum(axis=0))
    errors[asked] = (credit - value) / len(credit) + moves @ _slopes(adjusted, right, steps)
    return value, errors


def _log_probabilities(scores: Floats) -> Floats:
    """Scores as log-probabilities over each row's options; nan if there is no option."""
    return np.asarray(scores - _log_sum(scores, axis=1)[:, None])


def _log_sum(values: Floats, *, axis: int) -> Floats:
    """The log of the sum of exponentials; -inf if there are none."""
    filled = np.where(np.isnan(values), -np.inf, values)
    return np.asarray(np.logaddexp.reduce(filled, axis=axis))


def _slopes(adjusted: Floats, right: Integers, steps: Floats) -> Floats:
    """The change of accuracy with the log of each label's mean, [labels], by shifting it in both directions."""
    if adjusted.shape[1] < 2:
        return np.zeros(adjusted.shape[1])
    order = np.argpartition(adjusted, -2, axis=1)
    second, first = order[:, -2], order[:, -1]
    rows, labels = np.arange(len(adjusted)), np.arange(adjusted.shape[1])
    is_first = first[:, None] == labels
    rival = np.where(is_first, second[:, None], first[:, None])
    is_right = (right[:, None] == labels).astype(np.float64)
    rival_right = (rival == right[:, None]).astype(np.float64)
    best = adjusted[rows[:, None], rival]

    def accuracy(shift: Floats) -> Floats:
        # A higher mean lowers the label's score.
        return np.asarray(np.where(adjusted - shift > best, is_right, rival_right).mean(axis=0))

    change = accuracy(steps) - accuracy(-steps)
    return np.divide(change, 2.0 * steps, out=np.zeros_like(change), where=steps > 1e-12)
