"""Conflicts between a benchmark's prompts and its answers, repaired or reported in a note."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flantune.evaluation.exams import Exam, Question
from flantune.prompts.alike import plain


def without_own_questions(exam: Exam) -> Exam:
    """The exam without exemplars that are identical to the question they precede; a note says so."""
    questions = tuple(_without(question) for question in exam.questions)
    changed = sum(one is not other for one, other in zip(questions, exam.questions, strict=True))
    if not changed:
        return exam
    count = f"{changed} question{'s' if changed > 1 else ''} stand{'' if changed > 1 else 's'}"
    note = f"{count} among the exemplars; asked without showing the answer, with one exemplar fewer"
    return replace(exam, questions=questions, notes=(*exam.notes, note))


def _without(question: Question) -> Question:
    prompt, asked = question.prompt, plain(question.prompt.inputs)
    kept = tuple(one for one in prompt.exemplars if plain(one.inputs) != asked)
    return question if len(kept) == len(prompt.exemplars) else replace(question, prompt=replace(prompt, exemplars=kept))


def with_cut_golds(exam: Exam) -> Exam:
    """The exam, with a note if generation stops within a right answer, which then cannot be given.

    The stop texts of the benchmark or the task file are not changed, since other programs use the same.
    """
    if exam.answering != "text" or not exam.writing.stop:
        return exam
    asked = [prompt for prompt in exam.prompts if prompt.references]
    cut = [prompt for prompt in asked if all(_held(gold, exam.writing.stop) for gold in prompt.references)]
    if not cut:
        return exam
    stop = _held(cut[0].references[0], exam.writing.stop)
    note = (
        f"writing stops at {stop!r}, which {len(cut):,} of {len(asked):,} right answers contain (first in row "
        f"{cut[0].row}): such an answer is cut"
    )
    return replace(exam, notes=(*exam.notes, note))


def _held(gold: str, stops: Sequence[str]) -> str:
    """The first stop text within an answer; empty if there is none."""
    return next((stop for stop in stops if stop in gold.strip()), "")
