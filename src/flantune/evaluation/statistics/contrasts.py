"""Weighted means over exams, of every model, with each later model's difference from the first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from flantune.evaluation.estimates import Difference, Estimate
from flantune.evaluation.results import Contrast
from flantune.evaluation.statistics.means import Mean, Share, combine
from flantune.evaluation.statistics.pairs import ModelMeans


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """One exam in a mean over exams.

    Attributes:
        name: Its name in results.
        key: Exams with the same key were measured on the same rows, so they are not independent.
        weights: Model → its weight in that model's mean, the first model first; differences have the first's.
    """

    name: str
    key: str
    weights: Mapping[str, float]
    means: ModelMeans


def contrast(
    weighted: Sequence[Weighted], *, estimate: Callable[[Mean], Estimate], change: Callable[[Mean], Difference]
) -> Contrast | None:
    """The weighted mean over exams of every model; None if none is defined. Weights need not sum to one.

    Args:
        weighted: The exams.
        estimate: Turns a mean into a number with its interval.
        change: Turns a difference into its reported form.
    """
    models = dict.fromkeys(name for one in weighted for name in one.means.scores)
    later = dict.fromkeys(name for one in weighted for name in one.means.differences)
    scores = {name: mean_of(weighted, name) for name in models}
    differences = {name: difference_of(weighted, name) for name in later}
    if not any(scores.values()):
        return None
    return Contrast(
        exams=tuple(dict.fromkeys(one.name for one in weighted if one.means.scores)),
        scores={name: estimate(mean) for name, mean in scores.items() if mean is not None},
        differences={name: change(mean) for name, mean in differences.items() if mean is not None},
    )


def mean_of(weighted: Iterable[Weighted], model: str) -> Mean | None:
    """One model's mean over the exams that have one; None if none has."""
    return _combined(
        Share(task=one.key, weight=one.weights[model], mean=one.means.scores[model])
        for one in weighted
        if model in one.means.scores
    )


def difference_of(weighted: Iterable[Weighted], model: str) -> Mean | None:
    """A later model's difference from the first; None if it is not defined."""
    return _combined(
        Share(task=one.key, weight=next(iter(one.weights.values())), mean=one.means.differences[model])
        for one in weighted
        if model in one.means.differences
    )


def _combined(shares: Iterable[Share]) -> Mean | None:
    parts = [share for share in shares if share.weight > 0.0]
    whole = math.fsum(part.weight for part in parts)
    if whole <= 0.0:
        return None
    return combine(Share(task=part.task, weight=part.weight / whole, mean=part.mean) for part in parts)
