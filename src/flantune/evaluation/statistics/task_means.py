"""Means over tasks: of a cluster, and of the whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flantune.evaluation.run_results import Contrast, Difference, Estimate, TaskResult
from flantune.evaluation.statistics.difference_estimates import difference_estimate
from flantune.evaluation.statistics.means import Mean, Share, above_chance, combine
from flantune.evaluation.statistics.pairs import Means, estimate
from flantune.evaluation.statistics.skill_scores import SkillMeans, SkillMeasure, contrast

_ANY = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One task of one fold with one number of exemplars: what is reported and what goes into means.

    Attributes:
        result: What is reported.
        means: Of the headline metric.
        skill: Of the measures of skill that are defined for it.
    """

    result: TaskResult
    means: Means
    skill: Mapping[SkillMeasure, SkillMeans]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """A mean over tasks, before and after tuning."""

    base: Estimate
    tuned: Estimate
    difference: Difference


def mean_scores(weighted: Sequence[tuple[float, Entry]], confidence: float, *, is_normalized: bool) -> Scores:
    """The weighted mean of the headline metric, raw or as a share of the way from chance to perfect."""

    def combined(pick: Callable[[Means], Mean], *, is_difference: bool = False) -> Mean:
        parts = []
        for weight, entry in weighted:
            mean, chance = pick(entry.means), entry.result.chance
            if is_normalized:
                mean = above_chance(mean, chance, is_difference=is_difference)
            parts.append(Share(task=entry.result.task, weight=weight, mean=mean))
        return combine(parts)

    lowest = -math.inf if is_normalized else min(entry.means.span[0] for _, entry in weighted)
    changes = _ANY if is_normalized else (lowest - 1.0, 1.0 - lowest)
    return Scores(
        base=estimate(combined(lambda means: means.base), confidence=confidence, span=(lowest, 1.0)),
        tuned=estimate(combined(lambda means: means.tuned), confidence=confidence, span=(lowest, 1.0)),
        difference=difference_estimate(
            combined(lambda means: means.difference, is_difference=True), confidence=confidence, span=changes
        ),
    )


def mean_chance(weighted: Sequence[tuple[float, Entry]]) -> float:
    """What guessing scores."""
    return min(1.0, math.fsum(weight * entry.result.chance for weight, entry in weighted))


def mean_skill(weighted: Sequence[tuple[float, Entry]], measure: SkillMeasure, confidence: float) -> Contrast | None:
    """The weighted mean of a measure of skill over the tasks that have it; None where none has."""
    return contrast(
        [(weight, entry.result.task, entry.skill[measure]) for weight, entry in weighted if measure in entry.skill],
        confidence=confidence,
    )
