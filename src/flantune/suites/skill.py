"""Skill apart from a preference for an answer, of the ranked parts of benchmarks: one model's, and two compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flantune.evaluation.results import SkillDifference
from flantune.evaluation.statistics.means import Mean, combine
from flantune.evaluation.statistics.means import Part as Share
from flantune.evaluation.statistics.skill_scores import (
    ModelSkill,
    PairSkill,
    SkillMeasure,
    differences,
    estimated,
    model_skill,
)
from flantune.suites.results import SkillAverage

if TYPE_CHECKING:
    from flantune.evaluation.results import Estimate
    from flantune.suites.scores import PartScores


def average_skill(
    scores: Sequence[PartScores], weights: Mapping[str, float], *, confidence: float
) -> SkillAverage | None:
    """A benchmark's skill, its parts weighted as for the headline; None where nothing was ranked."""
    found = [(one, skill) for one in scores for skill in [model_skill(one.options)] if skill is not None]
    if not found:
        return None

    def mean(measure: SkillMeasure) -> Estimate | None:
        parts = [
            Share(task=one.part.key, weight=weights.get(one.part.name, 0.0), mean=measured.mean(confidence=confidence))
            for one, skill in found
            for measured in [skill.of(measure)]
            if measured is not None
        ]
        whole = _whole(parts)
        return None if whole is None else estimated(whole, confidence=confidence)

    return SkillAverage(
        discrimination=mean("discrimination"),
        calibrated_accuracy=mean("calibrated_accuracy"),
        parts=len(found),
        collapsed=tuple(one.part.name for one, skill in found if skill.answers.is_collapsed),
    )


def compare_parts(
    pairs: Mapping[str, tuple[PartScores, PartScores]], weights: Mapping[str, float], *, confidence: float
) -> tuple[SkillDifference | None, list[SkillDifference | None]]:
    """What the second model's skill differs by: of the whole, weighted as the headline, and of every part."""
    skills = {name: PairSkill(base=_skill(one), tuned=_skill(two)) for name, (one, two) in pairs.items()}
    parts = [pair.difference(confidence=confidence) for pair in skills.values()]
    if not any(parts):
        return None, parts

    def change(measure: SkillMeasure) -> Mean | None:
        return _whole(
            [
                Share(task=name, weight=weights.get(name, 0.0), mean=means.difference)
                for name, pair in skills.items()
                for means in [pair.means(measure, confidence=confidence)]
                if means is not None
            ]
        )

    whole = differences(change("discrimination"), change("calibrated_accuracy"), confidence=confidence)
    return whole, parts


def _skill(one: PartScores) -> ModelSkill | None:
    return model_skill(one.options)


def _whole(parts: Sequence[Share]) -> Mean | None:
    """The weighted mean of what is defined; None where that weighs nothing."""
    total = sum(part.weight for part in parts)
    if total <= 0.0:
        return None
    return combine(Share(task=part.task, weight=part.weight / total, mean=part.mean) for part in parts)
