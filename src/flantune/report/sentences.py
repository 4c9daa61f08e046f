"""Sentences for pages, cards and terminals: the headline, and notes on the numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from markupsafe import Markup, escape

from flantune.evaluation.results import Results, Verdict
from flantune.report.numbers import MINUS, points

WORDS = {"better": "Better", "worse": "Worse", "undecided": "Undecided"}
SHAPES = {"better": "▲", "worse": "▼", "undecided": "◆"}
NOT_REPORTABLE = "Not reportable: "


def headline(results: Results | None) -> str:
    """The verdict on the first later model, or a sentence that there is none."""
    if results is None or results.verdict is None:
        return "This run has no verdict: it was not measured, or evaluation did not finish."
    return verdict_sentence(results.verdict)


def verdict_sentence(verdict: Verdict) -> str:
    """A model's result on unseen tasks, in one sentence with its interval."""
    return typeset(verdict.text)


def note_sentences(verdict: Verdict) -> tuple[str, ...]:
    """Notes on scores affected by a preference for an answer, and on collapsed models; a sentence or two each."""
    return tuple(map(typeset, verdict.notes))


def chance_sentence(results: Results, model: str, verdict: Verdict) -> str:
    """A warning if a score is not above guessing; empty if it is or chance is unknown."""
    if verdict.chance is None or verdict.first is None or verdict.second is None:
        return ""
    if verdict.second <= verdict.chance:
        return f"{_who(model, results)} scores no better than guessing ({points(verdict.chance)}): read this first."
    if verdict.first <= verdict.chance:
        return f"{_who(results.names[0], results)} scored no better than guessing ({points(verdict.chance)})."
    return ""


def _who(model: str, results: Results) -> str:
    return f"The {model} model" if results.kind == "run" else model


def metric_notes(results: Results) -> list[tuple[str, list[str]]]:
    """Notes for readers of the scores, each once, with its tasks and parts."""
    found: dict[str, list[str]] = {}
    for name, notes in _notes(results):
        for note in notes:
            named = found.setdefault(note, [])
            named += [] if name in named else [name]
    return list(found.items())


def _notes(results: Results) -> Iterator[tuple[str, tuple[str, ...]]]:
    for benchmark in results.benchmarks:
        for part in benchmark.parts:
            yield f"{benchmark.name}/{part.name}", part.notes
    for task in results.tasks:
        yield task.name, task.notes


def warnings(results: Results) -> list[str]:
    """Why an evaluation's numbers cannot be compared with others', one sentence each."""
    if results.kind == "run":
        return []
    found = []
    if results.limit:
        found.append(f"{NOT_REPORTABLE}at most {results.limit:,} questions of each part were asked (--limit).")
    if results.missing:
        scores = ", ".join(dict.fromkeys(one.score for one in results.missing))
        found.append(f"{NOT_REPORTABLE}data of {scores} is missing.")
    return found + [
        f"{NOT_REPORTABLE}{model} was trained on what {what} measures; it is labeled seen."
        for what, model, reasons in seen_reasons(results)
        if reasons
    ]


def seen_reasons(results: Results) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Benchmark or task, model, and why it was not new to the model; empty for a run's tasks."""
    for benchmark in results.benchmarks:
        for model, scores in benchmark.scores.items():
            yield benchmark.label, model, scores.seen
    for task in results.tasks if results.kind == "evaluation" else ():
        for model, own in task.scores.items():
            yield task.name, model, own.seen


def coded(text: str) -> Markup:
    """A sentence as HTML: text between backticks becomes code.

    >>> coded("`--seeds 3` covers <more>")
    Markup('<code>--seeds 3</code> covers &lt;more&gt;')
    """
    parts = (escape(part) for part in typeset(text).split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def typeset(text: str) -> str:
    """Minus signs instead of hyphens before numbers."""
    return re.sub(r"(?<=[\s(])-(?=\d)", MINUS, text)
