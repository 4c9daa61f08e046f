"""Means over exams on clean examples only, besides those on all: for clusters, overall, and for benchmarks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flantune.evaluation.estimates import CleanScores
from flantune.evaluation.statistics.clean_means import CleanMeans
from flantune.evaluation.statistics.means import Mean, Share, combine
from flantune.evaluation.statistics.pairs import ModelMeans, difference_estimate, score_estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanPart:
    """One exam in a mean over exams.

    Attributes:
        key: Exams with the same key were measured on the same rows.
        weight: Its weight in the mean on all examples.
        clean_weight: Its weight in the mean on clean ones; if weights go by questions, it has fewer.
        every: Its means on all examples.
        clean: Its means on clean ones.
    """

    key: str
    weight: float
    clean_weight: float
    every: ModelMeans
    clean: CleanMeans


def clean_scores(
    parts: Sequence[CleanPart], first: str, later: str, *, span: tuple[float, float], confidence: float
) -> CleanScores | None:
    """Two models' means over exams, on clean examples and compared with all; None without exams.

    Args:
        parts: The exams, all checked for overlap.
        first: Name of the first model.
        later: Name of the later model.
        span: Lowest and highest score possible.
        confidence: Level of the intervals.
    """
    if not parts:
        return None
    examples, flagged = sum(one.clean.examples for one in parts), sum(one.clean.flagged for one in parts)
    left = [one for one in parts if one.clean.means is not None and one.clean_weight > 0.0]
    if not left:
        return CleanScores(examples=examples, flagged=flagged, first=None, second=None, difference=None)
    low, high = span

    def over(read: Callable[[ModelMeans], Mean]) -> Mean:
        whole = math.fsum(one.clean_weight for one in left)
        return combine(
            Share(task=one.key, weight=one.clean_weight / whole, mean=read(one.clean.means))
            for one in left
            if one.clean.means is not None
        )

    readings: dict[str, Callable[[ModelMeans], Mean]] = {
        "first": lambda means: means.scores[first],
        "second": lambda means: means.scores[later],
        "difference": lambda means: means.differences[later],
    }
    apart = (low - high, high - low)
    changes = {name: _against_all(parts, read) for name, read in readings.items()} if flagged else {}
    return CleanScores(
        examples=examples,
        flagged=flagged,
        first=score_estimate(over(readings["first"]), confidence=confidence, span=span),
        second=score_estimate(over(readings["second"]), confidence=confidence, span=span),
        difference=difference_estimate(
            over(readings["difference"]), confidence=confidence, span=(low - high, high - low)
        ),
        **{
            f"{name}_against_all": difference_estimate(mean, confidence=confidence, span=apart)
            for name, mean in changes.items()
            if mean is not None
        },
    )


def _against_all(parts: Sequence[CleanPart], read: Callable[[ModelMeans], Mean]) -> Mean | None:
    """The mean on clean examples minus that on all; None if an exam has no clean example left."""
    if any(one.clean.means is None for one in parts):
        return None
    shares = [
        Share(task=one.key, weight=one.clean_weight, mean=read(one.clean.changes))
        for one in parts
        if one.clean.changes is not None
    ]
    moved = [
        Share(task=one.key, weight=one.clean_weight - one.weight, mean=read(one.every))
        for one in parts
        if abs(one.clean_weight - one.weight) > 1e-12
    ]
    return combine([*shares, *moved])
