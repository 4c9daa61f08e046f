"""Texts at which an answer ends, and right answers that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flantune.evaluation.exams import Exam


def with_cut_golds(exam: Exam) -> Exam:
    """The exam, with a note where writing ends before a right answer does: such an answer cannot be given.

    The stop texts are those of the benchmark or of the task file, and stay as they are: other programs ask likewise.
    """
    if exam.answering != "text" or not exam.writing.stop:
        return exam
    asked = [prompt for prompt in exam.prompts if prompt.references]
    cut = [prompt for prompt in asked if all(_held(gold, exam.writing.stop) for gold in prompt.references)]
    if not cut:
        return exam
    stop = _held(cut[0].references[0], exam.writing.stop)
    note = (
        f"writing stops at {stop!r}, which {len(cut):,} of {len(asked):,} right answers hold (first in row "
        f"{cut[0].row}): such an answer is cut"
    )
    return replace(exam, notes=(*exam.notes, note))


def _held(gold: str, stops: Sequence[str]) -> str:
    """The first stop text within an answer; empty without one."""
    return next((stop for stop in stops if stop in gold.strip()), "")
