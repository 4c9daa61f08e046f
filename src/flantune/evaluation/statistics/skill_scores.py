"""Models' skill in one exam, apart from their preference for an answer, in the format of ``results.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from flantune.evaluation.estimates import Difference, Estimate, Skill, SkillDifference
from flantune.evaluation.statistics.commonest import answers_given
from flantune.evaluation.statistics.means import DIFFERENCE, Mean
from flantune.evaluation.statistics.pairs import ModelMeans, Pair, difference_estimate, within
from flantune.evaluation.statistics.skill import (
    EstimateByRow,
    RankedOptions,
    calibrated_accuracy,
    discrimination,
    logit_interval,
)

SkillMeasure = Literal["discrimination", "calibrated_accuracy"]
SKILL_MEASURES: tuple[SkillMeasure, SkillMeasure] = ("discrimination", "calibrated_accuracy")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSkill:
    """One model's skill in one exam.

    Attributes:
        options: Its option scores.
        discrimination: Area under the ROC curve; None if not defined.
        calibrated_accuracy: Accuracy after batch calibration; None if no row has a right answer.
    """

    options: RankedOptions
    discrimination: EstimateByRow | None
    calibrated_accuracy: EstimateByRow | None

    def of(self, measure: SkillMeasure) -> EstimateByRow | None:
        """One of the two numbers."""
        return self.discrimination if measure == "discrimination" else self.calibrated_accuracy

    def template(self, measure: SkillMeasure, at: int) -> float | None:
        """One of the two numbers for one template."""
        measured = self.of(measure)
        value = float("nan") if measured is None else float(measured.each[at])
        return within(value) if value == value else None

    def result(self, *, confidence: float) -> Skill:
        """The skill in the format of ``results.json``."""
        return Skill(
            answers=answers_given(self.options),
            discrimination=_estimated(self.discrimination, confidence),
            not_defined="" if self.discrimination else _why_not(self.options),
            calibrated_accuracy=_estimated(self.calibrated_accuracy, confidence),
        )


def model_skill(options: RankedOptions | None) -> ModelSkill | None:
    """The skill in one model's option scores; None if nothing was ranked."""
    if options is None:
        return None
    return ModelSkill(
        options=options, discrimination=discrimination(options), calibrated_accuracy=calibrated_accuracy(options)
    )


def compare_skill(
    skills: Mapping[str, ModelSkill | None], pairs: Mapping[str, Pair], *, confidence: float
) -> dict[SkillMeasure, ModelMeans]:
    """Both numbers for every model, and their paired differences, as far as defined.

    Args:
        skills: Model → its skill, the first model first.
        pairs: Later model → the rows that it shares with the first.
        confidence: Level of the intended intervals.
    """
    known = {id(skill.options): skill for skill in skills.values() if skill is not None}

    def skill_of(options: RankedOptions | None) -> ModelSkill | None:
        return model_skill(options) if id(options) not in known else known[id(options)]

    def number(skill: ModelSkill | None, measure: SkillMeasure) -> EstimateByRow | None:
        return None if skill is None else skill.of(measure)

    both = {name: (skill_of(pair.first.options), skill_of(pair.second.options)) for name, pair in pairs.items()}
    return {
        measure: ModelMeans(
            scores={
                name: measured.mean(confidence=confidence)
                for name, skill in skills.items()
                for measured in [number(skill, measure)]
                if measured is not None
            },
            differences={
                name: before.change(after, confidence=confidence)
                for name, (first, second) in both.items()
                for before, after in [(number(first, measure), number(second, measure))]
                if before is not None and after is not None
            },
        )
        for measure in SKILL_MEASURES
    }


def skill_difference(means: Mapping[SkillMeasure, Difference | None]) -> SkillDifference:
    """Both differences in the format of ``results.json``; false discovery rates are added later."""
    return SkillDifference(
        discrimination=means["discrimination"],
        discrimination_q=None,
        calibrated_accuracy=means["calibrated_accuracy"],
        calibrated_accuracy_q=None,
    )


def skill_estimate(mean: Mean, *, confidence: float) -> Estimate:
    """An area or a share with its interval."""
    interval = logit_interval(mean, confidence=confidence)
    return Estimate(value=within(mean.value), low=interval.low, high=interval.high, se=mean.se)


def skill_change(mean: Mean, *, confidence: float) -> Difference:
    """A difference of two of them, with its p-value and smallest detectable difference."""
    return difference_estimate(mean, confidence=confidence, span=DIFFERENCE)


def _estimated(measured: EstimateByRow | None, confidence: float) -> Estimate | None:
    return None if measured is None else skill_estimate(measured.mean(confidence=confidence), confidence=confidence)


def _why_not(options: RankedOptions) -> str:
    labels = sorted({int(label) for label in options.gold if label >= 0})
    if not labels:
        return "no row says which answer is right"
    if len(labels) == 1:
        return f'the right answer of every row is "{options.names[labels[0]]}"'
    return "no template was asked of rows with different right answers"
