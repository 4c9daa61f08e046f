"""No question of a benchmark is asked behind itself with its answer, whatever the published prompts show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flantune.evaluation.exams import Exam, Question


def without_own_questions(exam: Exam) -> Exam:
    """The exam with every exemplar left out that is the very question it would be shown before; a note says so."""
    questions = tuple(_without(question) for question in exam.questions)
    changed = sum(one is not other for one, other in zip(questions, exam.questions, strict=True))
    if not changed:
        return exam
    count = f"{changed} question{'s' if changed > 1 else ''} stand{'' if changed > 1 else 's'}"
    note = f"{count} among the exemplars; asked without showing the answer, with one exemplar fewer"
    return replace(exam, questions=questions, notes=(*exam.notes, note))


def _without(question: Question) -> Question:
    prompt, asked = question.prompt, _plain(question.prompt.inputs)
    kept = tuple(one for one in prompt.exemplars if _plain(one.inputs) != asked)
    return question if len(kept) == len(prompt.exemplars) else replace(question, prompt=replace(prompt, exemplars=kept))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
