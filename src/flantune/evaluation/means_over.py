"""Means over exams in every measure: for a cluster, all clusters, or a benchmark's parts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flantune.evaluation.estimates import Difference, Estimate
from flantune.evaluation.results import Contrast, Measure
from flantune.evaluation.scored import ScoredExam
from flantune.evaluation.statistics.contrasts import Weighted, contrast
from flantune.evaluation.statistics.means import Mean
from flantune.evaluation.statistics.pairs import difference_estimate, score_estimate, within
from flantune.evaluation.statistics.skill_scores import SKILL_MEASURES, skill_change, skill_estimate

MEASURES: tuple[Measure, ...] = ("raw", "normalized", *SKILL_MEASURES)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedExam:
    """An exam and its weights.

    Attributes:
        scored: The exam.
        weights: Model → its weight in that model's mean, the first model first.
    """

    scored: ScoredExam
    weights: Mapping[str, float]

    @property
    def weight(self) -> float:
        """Its weight in the first model's mean, and in differences from it."""
        return next(iter(self.weights.values()))


Weighing = Callable[[Measure], Sequence[WeightedExam]]
"""The weights of exams in the mean of a measure, which some of them may lack."""


def means_over(weighing: Weighing, *, confidence: float) -> dict[str, Any]:
    """The fields of ``results.Means``."""
    weighted = weighing("raw")
    chance = math.fsum(one.weight * one.scored.result.chance for one in weighted)
    found: dict[str, Any] = {
        measure: contrast_of(weighing(measure), measure, confidence=confidence) for measure in MEASURES
    }
    return {"chance": within(chance), **found}


def contrast_of(weighted: Sequence[WeightedExam], measure: Measure, *, confidence: float) -> Contrast | None:
    """The mean of one measure over exams; None if none has it."""
    low, high = _span(weighted, measure)

    def estimate(mean: Mean) -> Estimate:
        if measure in SKILL_MEASURES:
            return skill_estimate(mean, confidence=confidence)
        return score_estimate(mean, confidence=confidence, span=(low, high))

    def change(mean: Mean) -> Difference:
        if measure in SKILL_MEASURES:
            return skill_change(mean, confidence=confidence)
        return difference_estimate(mean, confidence=confidence, span=(low - high, high - low))

    return contrast(
        [
            Weighted(
                name=one.scored.result.name,
                key=one.scored.exam.key,
                weights=one.weights,
                means=one.scored.means(measure),
            )
            for one in weighted
        ],
        estimate=estimate,
        change=change,
    )


def _span(weighted: Sequence[WeightedExam], measure: Measure) -> tuple[float, float]:
    """Lowest and highest possible score; below chance there is no lowest."""
    if measure != "raw" or not weighted:
        return -math.inf, 1.0
    spans = [one.scored.span for one in weighted]
    return min(low for low, _ in spans), max(high for _, high in spans)
