"""Skill apart from a preference for an answer, of the ranked parts of benchmarks: one model's, and two compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from flantune.evaluation.asking.option_labels import RankedCells
from flantune.evaluation.run_results import SkillDifference
from flantune.evaluation.statistics.means import Mean, Share, combine
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
    from flantune.evaluation.metrics.rank_classification import Normalization
    from flantune.evaluation.run_results import Estimate
    from flantune.evaluation.statistics.skill import RankedOptions
    from flantune.settings.protocols import ScoringProtocol
    from flantune.suites.scores import PartScores
    from flantune.suites.suite import Part
    from flantune.types import Sample

# The harness names its normalizations by metric.
_OF_METRIC: Mapping[str, Normalization] = {"acc": "sum", "acc_norm": "character", "acc_bytes": "byte"}


def ranked_answers(part: Part, samples: Sequence[Sample], protocol: ScoringProtocol) -> RankedOptions | None:
    """A part's option scores as its headline ranks them; None where answers were written."""
    if part.answering != "options" or not samples:
        return None
    own = _OF_METRIC.get(part.headline.split(",")[0]) if part.suite == "harness" else None
    cells = RankedCells(own or protocol.normalization)
    for row, sample in enumerate(samples):
        cells.add(sample, row=row, template=0)
    named: dict[str, int] = {}
    groups = [named.setdefault(one.group or f"\0{row}", len(named)) for row, one in enumerate(samples)]
    return cells.options(rows=len(samples), templates=1, groups=np.array(groups, dtype=np.int64))


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
