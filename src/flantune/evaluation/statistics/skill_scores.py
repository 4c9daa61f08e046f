"""Two models' skill on one task, apart from their preference for an answer, as ``results.json`` has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from flantune.evaluation.run_results import CommonestAnswer, Contrast, Difference, Estimate, Skill, SkillDifference
from flantune.evaluation.statistics import means as statistics
from flantune.evaluation.statistics.commonest import Answers, answers_given
from flantune.evaluation.statistics.difference_estimates import difference_estimate
from flantune.evaluation.statistics.means import DIFFERENCE, Mean, Share, combine
from flantune.evaluation.statistics.skill import (
    Measured,
    RankedOptions,
    calibrated_accuracy,
    discrimination,
    logit_interval,
)

SkillMeasure = Literal["discrimination", "calibrated_accuracy"]
SKILL_MEASURES: tuple[SkillMeasure, SkillMeasure] = ("discrimination", "calibrated_accuracy")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSkill:
    """One model's skill on one task.

    Attributes:
        options: Its option scores.
        discrimination: Area under the ROC curve; None where it is not defined.
        calibrated_accuracy: Accuracy after batch calibration; None where no row has a right answer.
    """

    options: RankedOptions
    discrimination: Measured | None
    calibrated_accuracy: Measured | None

    @property
    def answers(self) -> Answers:
        """What it answers most often."""
        return answers_given(self.options)

    def of(self, measure: SkillMeasure) -> Measured | None:
        """One of the two numbers."""
        return self.discrimination if measure == "discrimination" else self.calibrated_accuracy

    def template(self, measure: SkillMeasure, at: int) -> float | None:
        """One of the two numbers for one template."""
        measured = self.of(measure)
        value = float("nan") if measured is None else float(measured.each[at])
        return within(value) if value == value else None

    def result(self, *, confidence: float) -> Skill:
        """As ``results.json`` has it."""
        return Skill(
            answers=_commonest(self.answers),
            discrimination=_estimated(self.discrimination, confidence),
            not_defined="" if self.discrimination else _why_not(self.options),
            calibrated_accuracy=_estimated(self.calibrated_accuracy, confidence),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillMeans:
    """One of the two numbers of a task, as what goes into means over tasks."""

    base: Mean
    tuned: Mean
    difference: Mean


def model_skill(options: RankedOptions | None) -> ModelSkill | None:
    """What can be said of one model's option scores; None where nothing was ranked."""
    if options is None:
        return None
    return ModelSkill(
        options=options, discrimination=discrimination(options), calibrated_accuracy=calibrated_accuracy(options)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSkill:
    """Two models' skill on the same rows of one task; None each where nothing was ranked."""

    base: ModelSkill | None
    tuned: ModelSkill | None

    def means(self, measure: SkillMeasure, *, confidence: float) -> SkillMeans | None:
        """Both models' number and its paired difference; None where it is not defined."""
        first, second = (one.of(measure) if one else None for one in (self.base, self.tuned))
        if first is None or second is None:
            return None
        return SkillMeans(
            base=first.mean(confidence=confidence),
            tuned=second.mean(confidence=confidence),
            difference=first.change(second, confidence=confidence),
        )

    def difference(self, *, confidence: float) -> SkillDifference | None:
        """What tuning did to both numbers; None where nothing was ranked. Rates of false discovery come later."""
        if self.base is None or self.tuned is None:
            return None
        means = [self.means(measure, confidence=confidence) for measure in SKILL_MEASURES]
        return differences(*(None if one is None else one.difference for one in means), confidence=confidence)


def differences(discrimination: Mean | None, calibrated: Mean | None, *, confidence: float) -> SkillDifference:
    """Both differences as ``results.json`` has them; rates of false discovery come later."""
    found = [None if mean is None else changed(mean, confidence=confidence) for mean in (discrimination, calibrated)]
    return SkillDifference(
        discrimination=found[0], discrimination_q=None, calibrated_accuracy=found[1], calibrated_accuracy_q=None
    )


def contrast(weighted: Iterable[tuple[float, str, SkillMeans]], *, confidence: float) -> Contrast | None:
    """The weighted mean over tasks, before and after; None without any task. Weights need not sum to one."""
    parts = list(weighted)
    whole = sum(weight for weight, _, _ in parts)
    if not parts or whole <= 0.0:
        return None

    def combined(pick: Callable[[SkillMeans], Mean]) -> Mean:
        return combine(Share(task=task, weight=weight / whole, mean=pick(means)) for weight, task, means in parts)

    return Contrast(
        base=estimated(combined(lambda means: means.base), confidence=confidence),
        tuned=estimated(combined(lambda means: means.tuned), confidence=confidence),
        difference=changed(combined(lambda means: means.difference), confidence=confidence),
        tasks=tuple(dict.fromkeys(task for _, task, _ in parts)),
    )


def with_skill_rates(differences: Sequence[SkillDifference | None]) -> list[SkillDifference | None]:
    """One family of tasks' differences with their rates of false discovery, each measure apart.

    Paper: Benjamini and Hochberg 1995.
    """
    rated = list(differences)
    for measure in SKILL_MEASURES:
        tested = [(at, getattr(one, measure)) for at, one in enumerate(rated) if one and getattr(one, measure)]
        rates = statistics.false_discovery_rates([difference.p for _, difference in tested])
        for (at, _), rate in zip(tested, rates, strict=True):
            one = rated[at]
            rated[at] = one.model_copy(update={f"{measure}_q": rate}) if one else None
    return rated


def estimated(mean: Mean, *, confidence: float) -> Estimate:
    """An area or a share with its interval."""
    interval = logit_interval(mean, confidence=confidence)
    return Estimate(value=within(mean.value), low=interval.low, high=interval.high, se=mean.se)


def changed(mean: Mean, *, confidence: float) -> Difference:
    """A difference of two of them, with its p-value and what it could have seen."""
    return difference_estimate(mean, confidence=confidence, span=DIFFERENCE)


def within(value: float) -> float:
    """A share, without the rounding error by which a sum of floats can pass an end."""
    return min(max(value, 0.0), 1.0)


def _estimated(measured: Measured | None, confidence: float) -> Estimate | None:
    return None if measured is None else estimated(measured.mean(confidence=confidence), confidence=confidence)


def _commonest(found: Answers) -> CommonestAnswer:
    return CommonestAnswer(
        answer=found.commonest,
        share=within(found.share),
        gold=within(found.gold),
        distance=within(found.distance),
        by_place=found.by_place,
        is_collapsed=found.is_collapsed,
    )


def _why_not(options: RankedOptions) -> str:
    labels = sorted({int(label) for label in options.gold if label >= 0})
    if not labels:
        return "no row says which answer is right"
    if len(labels) == 1:
        return f'the right answer of every row is "{options.names[labels[0]]}"'
    return "no template was asked of rows with different right answers"
