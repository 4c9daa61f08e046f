"""Skill apart from a preference for an answer, as values of the report."""

from __future__ import annotations

from dataclasses import dataclass

from flantune.report.estimates import Estimate, estimate
from flantune.report.numbers import as_number
from flantune.runs.untrusted_json import Json, mapping

SKILL_MEASURES = ("discrimination", "calibrated_accuracy")
"""As ``results.json`` calls them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSkill:
    """One model's skill on a ranked task, apart from its preference for an answer.

    Attributes:
        answer: What it answers most often.
        share: How often.
        gold: How often that is right.
        distance: How far the answers given are from the right ones, label by label: their total variation distance.
        is_collapsed: It answers little else.
        discrimination: Area under the ROC curve.
        not_defined: Why there is none.
        calibrated: Accuracy after batch calibration.
    """

    answer: str
    share: float | None
    gold: float | None
    distance: float | None
    is_collapsed: bool
    discrimination: Estimate
    not_defined: str
    calibrated: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSkill:
    """Both models' skill on a ranked task, and the paired differences with their rates of false discovery."""

    base: ModelSkill
    tuned: ModelSkill
    discrimination: Estimate
    discrimination_q: float | None
    calibrated: Estimate
    calibrated_q: float | None


def parse_skill(raw: Json) -> TaskSkill | None:
    """A task's skill from the task's JSON form; None where nothing was ranked."""
    found, models = mapping(raw.get("skill")), mapping(raw.get("models"))
    base, tuned = (mapping(mapping(models.get(model)).get("skill")) for model in ("base", "tuned"))
    if not (found and base and tuned):
        return None
    return TaskSkill(
        base=_model_skill(base),
        tuned=_model_skill(tuned),
        discrimination=estimate(found.get("discrimination")),
        discrimination_q=as_number(found.get("discrimination_q")),
        calibrated=estimate(found.get("calibrated_accuracy")),
        calibrated_q=as_number(found.get("calibrated_accuracy_q")),
    )


def _model_skill(raw: Json) -> ModelSkill:
    answers = mapping(raw.get("answers"))
    return ModelSkill(
        answer=str(answers.get("answer") or ""),
        share=as_number(answers.get("share")),
        gold=as_number(answers.get("gold")),
        distance=as_number(answers.get("distance")),
        is_collapsed=bool(answers.get("is_collapsed")),
        discrimination=estimate(raw.get("discrimination")),
        not_defined=str(raw.get("not_defined") or ""),
        calibrated=estimate(raw.get("calibrated_accuracy")),
    )
