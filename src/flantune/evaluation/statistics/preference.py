"""Where a preference for an answer, not a skill, moved the raw score or hid what the model can do: in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from flantune.evaluation.points import score_points, signed_points
from flantune.evaluation.verdict import direction_of, enough_digits

if TYPE_CHECKING:
    from flantune.evaluation.run_results import Contrast, Difference, Estimate, ModelScores, TaskResult

MOST_NAMED = 3
"""Tasks named in a sentence before it says how many more there are."""

_RATE = 0.05
_GAIN = {"better": "gain", "worse": "loss"}


class BeforeAndAfter(Protocol):
    """A mean over tasks, before and after tuning."""

    @property
    def base(self) -> Estimate:
        """Before."""

    @property
    def tuned(self) -> Estimate:
        """After."""

    @property
    def difference(self) -> Difference:
        """After minus before."""


def preference_notes(*, raw: BeforeAndAfter, discrimination: Contrast, confidence: float) -> tuple[str, ...]:
    """What to heed where raw score and discrimination, over the same tasks, do not tell the same story.

    Nothing is said where both moved the same way, or neither surely moved. Calibrated accuracy has no say: a preference
    so strong that probabilities are close to 0 and 1 changes it a little, and discrimination not at all.
    """
    skill, score = direction_of(discrimination.difference), direction_of(raw.difference)
    if skill == score:
        return ()
    what = "discrimination (how well the scores tell which answer is right; 50 is guessing)"
    told = f"{_told(what, discrimination, confidence)}, while {_told('the raw score', raw)}"
    beside = f"on {_count(len(discrimination.tasks), 'ranked task')} {told}"
    if skill != "undecided":
        return (f"A preference for certain answers hides a {_GAIN[skill]} of skill: {beside}.",)
    return (f"The {_GAIN[score]} may be one of preference, not of skill: {beside}.",)


def task_notes(tasks: Sequence[TaskResult]) -> tuple[str, ...]:
    """The same for single tasks of several, of those whose rate of false discovery is at most 5%."""
    if len({task.task for task in tasks}) < 2:
        return ()
    found = []
    for way in ("better", "worse"):
        hidden = [_name(task) for task in tasks if _skill_moved(task) == way != direction_of(task.difference)]
        if hidden:
            found.append(f"The raw score does not show a {_GAIN[way]} of skill on {_named(hidden)}.")
        moved = [_name(task) for task in tasks if _score_moved(task) == way != _direction(task)]
        if moved:
            found.append(
                f"The {_GAIN[way]} of raw score on {_named(moved)} may be one of preference: discrimination does not "
                "surely show it."
            )
    return tuple(found)


def collapse_notes(tasks: Sequence[TaskResult]) -> tuple[str, ...]:
    """Which model gave one answer to over 90% of the prompts of a task, and on how many tasks."""
    ranked = [task for task in tasks if task.models.base.skill or task.models.tuned.skill]
    of = f"of {_count(len({task.task for task in ranked}), 'ranked task')}"
    said = [
        f"the {model} model on {len(found)} {of} ({_named(found)})"
        for model in ("base", "tuned")
        # A task that two folds measured has the same base model in both.
        for found in [list(dict.fromkeys(_collapsed(ranked, model)))]
        if found
    ]
    if not said:
        return ()
    return (
        f"Collapsed to one answer for over 90% of the prompts: {'; '.join(said)}. Raw scores there mostly show which "
        "answer the model prefers.",
    )


def lopsided_notes(tasks: Sequence[TaskResult]) -> tuple[str, ...]:
    """On which ranked tasks skill cannot be told from preference, since one answer is right throughout."""
    found = {}
    ranked = [(task, task.models.tuned.skill) for task in tasks if task.models.tuned.skill]
    for task, skill in ranked:
        if skill.not_defined and skill.calibrated_accuracy is not None:  # else no right answer is known at all
            found[_name(task)] = f"{_name(task)}: {_plain(skill.not_defined, most=100)}"
    if not found:
        return ()
    count = _count(len({task.task for task, _ in ranked}), "ranked task")
    return (
        f"On {len(found)} of {count} a preference for the right answer cannot be told from skill "
        f"({_named(list(found.values()))}).",
    )


def _collapsed(tasks: Sequence[TaskResult], model: str) -> Iterator[str]:
    for task in tasks:
        scores: ModelScores = getattr(task.models, model)
        if scores.skill is not None and scores.skill.answers.is_collapsed:
            answers = scores.skill.answers
            said = f"“{_plain(answers.answer)}” for {_percent(answers.share)}, right for {_percent(answers.gold)}"
            yield f"{_name(task)}: {said}"


def _skill_moved(task: TaskResult) -> str:
    """Which way discrimination moved, with its rate of false discovery heeded."""
    is_rated = task.skill is not None and (task.skill.discrimination_q or 0.0) <= _RATE
    return _direction(task) if is_rated else "undecided"


def _score_moved(task: TaskResult) -> str:
    is_known = task.skill is not None and task.skill.discrimination is not None and task.q <= _RATE
    return direction_of(task.difference) if is_known else "undecided"


def _direction(task: TaskResult) -> str:
    """Which way discrimination moved."""
    if task.skill is None or task.skill.discrimination is None:
        return "undecided"
    return direction_of(task.skill.discrimination)


def _told(what: str, found: BeforeAndAfter, confidence: float | None = None) -> str:
    digits = enough_digits(found.difference)
    low, high = (signed_points(end, digits=digits) for end in (found.difference.low, found.difference.high))
    level = "" if confidence is None else f"{100 * confidence:g}% interval "
    return (
        f"{what} went from {score_points(found.base.value)} to {score_points(found.tuned.value)} "
        f"({signed_points(found.difference.value, digits=digits)}, {level}{low} to {high})"
    )


def _named(found: Sequence[str]) -> str:
    names = list(dict.fromkeys(found))  # two folds may have measured one task
    shown = names[:MOST_NAMED]
    more = len(names) - len(shown)
    joined = "; " if any(":" in name for name in shown) else ", "
    return joined.join([*shown, f"{more} more"] if more else shown)


def _name(task: TaskResult) -> str:
    return _plain(task.task)


def _plain(text: str, *, most: int = 40) -> str:
    """Words of a data set on one line, without what a terminal would obey."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= most else words[: most - 1] + "…"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
