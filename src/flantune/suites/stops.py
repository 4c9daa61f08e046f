"""Texts at which an answer ends, and right answers that hold them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flantune.suites.suite import Part


def cut_golds(parts: Sequence[Part]) -> Iterator[str]:
    """A sentence for each part in which writing ends before a right answer does: such an answer cannot be given.

    The stop texts are those of the benchmark or of the task file, and stay as they are: other programs ask likewise.
    """
    for part in parts:
        if part.answering != "text" or not part.stop:
            continue
        asked = [prompt for prompt in part.prompts if prompt.references]
        cut = [prompt for prompt in asked if all(_holds(gold, part.stop) for gold in prompt.references)]
        if cut:
            held = next(stop for stop in part.stop if stop in cut[0].references[0].strip())
            yield (
                f"{part.key}: writing stops at {held!r}, which {len(cut):,} of {len(asked):,} right answers hold "
                f"(first in row {cut[0].row}): such an answer is cut and counted as wrong"
            )


def _holds(gold: str, stops: Sequence[str]) -> bool:
    return any(stop in gold.strip() for stop in stops)
