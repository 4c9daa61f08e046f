"""Sentences about preferences for an answer that change the raw score or hide a skill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flantune.evaluation.estimates import Direction, PairedDifference
from flantune.evaluation.exam_result import ExamResult
from flantune.evaluation.points import counted, score_points, signed_points
from flantune.evaluation.verdict import Change, enough_digits

MOST_NAMED = 3
"""Tasks named in a sentence before it says how many more there are."""

_RATE = 0.05
_GAIN = {"better": "gain", "worse": "loss"}


def preference_notes(raw: Change, discrimination: Change, *, confidence: float) -> tuple[str, ...]:
    """Notes for cases in which raw score and discrimination, over the same tasks, do not agree.

    There is no note if both changed in the same direction, or neither clearly. Calibrated accuracy is not used: a
    preference so strong that probabilities are close to 0 and 1 changes it a little, but not discrimination.
    """
    skill, score = discrimination.difference.direction, raw.difference.direction
    if skill == score:
        return ()
    what = "discrimination (how well the scores tell which answer is right; 50 is guessing)"
    told = f"{_told(what, discrimination, confidence)}, while {_told('the raw score', raw)}"
    beside = f"on {counted(len(discrimination.exams), 'ranked task')} {told}"
    if skill != "undecided":
        return (f"A preference for certain answers hides a {_GAIN[skill]} of skill: {beside}.",)
    return (f"The {_GAIN[score]} may reflect a preference rather than skill: {beside}.",)


def task_notes(tasks: Sequence[ExamResult], model: str) -> tuple[str, ...]:
    """The same for single tasks among several, with a false discovery rate of at most 5%."""
    if len({task.name for task in tasks}) < 2:
        return ()
    compared = [(_name(task), task.differences[model]) for task in tasks]
    found = []
    for way in ("better", "worse"):
        hidden = [name for name, one in compared if _skill_moved(one) == way != one.direction]
        if hidden:
            found.append(f"The raw score does not show a {_GAIN[way]} of skill on {_named(hidden)}.")
        moved = [name for name, one in compared if _score_moved(one) == way != _skill_direction(one)]
        if moved:
            found.append(
                f"The {_GAIN[way]} of raw score on {_named(moved)} may only reflect a preference: discrimination does "
                "not clearly show it."
            )
    return tuple(found)


def collapse_notes(tasks: Sequence[ExamResult], models: Sequence[str]) -> tuple[str, ...]:
    """Which model gave one answer to over 90% of the prompts of a task, and on how many tasks."""
    ranked = [task for task in tasks if any(task.scores[model].skill for model in models)]
    of = f"of {counted(len({task.name for task in ranked}), 'ranked task')}"
    said = [
        f"the {model} model on {len(found)} {of} ({_named(found)})"
        for model in models
        # A task measured in two folds has the same base model in both.
        for found in [list(dict.fromkeys(_collapsed(ranked, model)))]
        if found
    ]
    if not said:
        return ()
    return (
        f"Collapsed to one answer for over 90% of the prompts: {'; '.join(said)}. Raw scores there mostly show which "
        "answer the model prefers.",
    )


def lopsided_notes(tasks: Sequence[ExamResult], model: str) -> tuple[str, ...]:
    """Ranked tasks on which skill and preference cannot be separated, since one answer is always right."""
    found = {}
    ranked = [(task, skill) for task in tasks for skill in [task.scores[model].skill] if skill]
    for task, skill in ranked:
        if skill.not_defined and skill.calibrated_accuracy is not None:  # otherwise no right answer is known
            found[_name(task)] = f"{_name(task)}: {_plain(skill.not_defined, most=100)}"
    if not found:
        return ()
    count = counted(len({task.name for task, _ in ranked}), "ranked task")
    return (
        f"On {len(found)} of {count} a preference for the right answer cannot be distinguished from skill "
        f"({_named(list(found.values()))}).",
    )


def _collapsed(tasks: Sequence[ExamResult], model: str) -> Iterator[str]:
    for task in tasks:
        skill = task.scores[model].skill
        if skill is not None and skill.answers.is_collapsed:
            answers = skill.answers
            said = f"“{_plain(answers.answer)}” for {_percent(answers.share)}, right for {_percent(answers.gold)}"
            yield f"{_name(task)}: {said}"


def _skill_moved(one: PairedDifference) -> Direction:
    """The direction in which discrimination changed, given its false discovery rate."""
    is_rated = one.skill is not None and (one.skill.discrimination_q or 0.0) <= _RATE
    return _skill_direction(one) if is_rated else "undecided"


def _score_moved(one: PairedDifference) -> Direction:
    """The direction in which the score changed, likewise, if discrimination is known."""
    is_known = one.skill is not None and one.skill.discrimination is not None and (one.q or 0.0) <= _RATE
    return one.direction if is_known else "undecided"


def _skill_direction(one: PairedDifference) -> Direction:
    """The direction in which discrimination changed."""
    if one.skill is None or one.skill.discrimination is None:
        return "undecided"
    return one.skill.discrimination.direction


def _told(what: str, found: Change, confidence: float | None = None) -> str:
    digits = enough_digits(found.difference)
    low, high = (signed_points(end, digits=digits) for end in (found.difference.low, found.difference.high))
    level = "" if confidence is None else f"{100 * confidence:g}% interval "
    return (
        f"{what} went from {score_points(found.first)} to {score_points(found.second)} "
        f"({signed_points(found.difference.value, digits=digits)}, {level}{low} to {high})"
    )


def _named(found: Sequence[str]) -> str:
    names = list(dict.fromkeys(found))  # two folds may have measured the same task
    shown = names[:MOST_NAMED]
    more = len(names) - len(shown)
    joined = "; " if any(":" in name for name in shown) else ", "
    return joined.join([*shown, f"{more} more"] if more else shown)


def _name(task: ExamResult) -> str:
    return _plain(task.name)


def _plain(text: str, *, most: int = 40) -> str:
    """Text of a dataset on one line, without control characters."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= most else words[: most - 1] + "…"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"
