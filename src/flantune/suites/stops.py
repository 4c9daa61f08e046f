"""Texts at which an answer ends, and right answers that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flantune.suites.suite import Part


def with_cut_golds(part: Part) -> Part:
    """The part, with a note where writing ends before a right answer does: such an answer cannot be given.

    The stop texts are those of the benchmark or of the task file, and stay as they are: other programs ask likewise.
    """
    if part.answering != "text" or not part.stop:
        return part
    asked = [prompt for prompt in part.prompts if prompt.references]
    cut = [prompt for prompt in asked if all(_held(gold, part.stop) for gold in prompt.references)]
    if not cut:
        return part
    note = (
        f"writing stops at {_held(cut[0].references[0], part.stop)!r}, which {len(cut):,} of {len(asked):,} right "
        f"answers hold (first in row {cut[0].row}): such an answer is cut"
    )
    return replace(part, notes=(*part.notes, note))


def _held(gold: str, stops: Sequence[str]) -> str:
    """The first stop text within an answer; empty without one."""
    return next((stop for stop in stops if stop in gold.strip()), "")
