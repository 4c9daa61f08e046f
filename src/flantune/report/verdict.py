"""The headline sentence, as ready to say "worse" as "better"."""

from __future__ import annotations

import re

from flantune.report.numbers import MINUS, plural, points
from flantune.report.results import Results, Verdict

WORDS = {"better": "Better", "worse": "Worse", "undecided": "Undecided"}
SHAPES = {"better": "▲", "worse": "▼", "undecided": "◆"}


def verdict_sentence(verdict: Verdict, *, level: str = "95%") -> str:
    """What tuning did on tasks never seen, in one sentence with its interval.

    Args:
        verdict: The headline numbers; its own text is used when it has one.
        level: The level of the interval, as words.
    """
    if verdict.text:
        return _typeset(verdict.text)
    where = f" on {_unseen(verdict)}" if _unseen(verdict) else ""
    if verdict.difference.value is None:
        return f"Nothing was measured{where}, so nothing can be said about what tuning did."
    numbers = (
        f"{points(verdict.base)} before, {points(verdict.tuned)} after, a difference of "
        f"{verdict.difference.signed()} points ({level} interval {verdict.difference.interval()})"
    )
    if verdict.direction == "better":
        return f"Tuning made the model better{where}: {numbers}."
    if verdict.direction == "worse":
        return f"Tuning made the model worse{where}: {numbers}."
    return f"It is undecided whether tuning helped{where}: {numbers}, and the interval includes zero."


def chance_sentence(verdict: Verdict) -> str:
    """A warning when a score does not rise above guessing; empty when all is well or chance is unknown."""
    if verdict.chance is None or verdict.tuned is None or verdict.base is None:
        return ""
    if verdict.tuned <= verdict.chance:
        return f"The tuned model scores no better than guessing ({points(verdict.chance)}): read this first."
    if verdict.base <= verdict.chance:
        return f"The base model scored no better than guessing ({points(verdict.chance)})."
    return ""


def metric_notes(results: Results) -> list[tuple[str, str]]:
    """Task and note, each once: metrics that cannot read what they were to score."""
    return list(dict.fromkeys((task.task, note) for task in results.tasks for note in task.notes))


def note_sentences(verdict: Verdict) -> tuple[str, ...]:
    """Where a preference for an answer moved or hid the score, and which model collapsed; a sentence or two each."""
    return tuple(map(_typeset, verdict.notes))


def _typeset(text: str) -> str:
    """Minus signs in the place of hyphens before numbers."""
    return re.sub(r"(?<=[\s(])-(?=\d)", MINUS, text)


def _unseen(verdict: Verdict) -> str:
    if not verdict.tasks:
        return ""
    clusters = f" from {plural(verdict.clusters, 'cluster')}" if verdict.clusters else ""
    return f"{plural(verdict.tasks, 'task')}{clusters} never trained on"


def headline(results: Results) -> str:
    """The verdict sentence of a run, or a sentence that says that there is none."""
    if results.verdict is None:
        return "This run has no verdict: it was not measured, or evaluation did not finish."
    return verdict_sentence(results.verdict, level=results.level)
