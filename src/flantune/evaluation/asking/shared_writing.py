"""Answers written by as many processes as there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from flantune.packing.shares import assign

if TYPE_CHECKING:
    from flantune.evaluation.asking.answers import Written
    from flantune.system.processes import Processes

# Prompts written to by one process before the next piece; what they share is read once a piece.
_PIECE = 256

OnAnswers = Callable[[int, int], None]
WritePiece = Callable[[Sequence[int], OnAnswers], Sequence[tuple["Written", ...]]]
"""Writes the answers to prompts, given by number; tells how many are done."""


def shared_texts(
    write: WritePiece,
    *,
    costs: Sequence[int],
    stops: Sequence[tuple[str, ...]],
    processes: Processes,
    progress: OnAnswers,
) -> list[tuple[str, ...]]:
    """The answers to each prompt, for every process; none for a prompt that does not fit.

    Pieces of prompts are shared out by what they cost. Which prompts make a piece does not depend on how many
    processes there are.

    Args:
        write: Writes the answers to a piece.
        costs: Cost of each prompt.
        stops: What ends each answer: those of one piece end alike.
        processes: Who shares the work.
        progress: Called with (prompts done, prompts in all).
    """
    pieces = _pieces(stops)
    shares = assign([sum(costs[at] for at in piece) for piece in pieces], processes.count)
    mine: dict[int, tuple[str, ...]] = {}
    for piece in (pieces[number] for number in shares[processes.rank]):

        def report(done: int, total: int, *, before: int = len(mine), size: int = len(piece)) -> None:
            progress(before + done * size // max(total, 1), len(costs))

        mine |= {at: tuple(one.text for one in each) for at, each in zip(piece, write(piece, report), strict=True)}
    found = {at: texts for one in processes.gather(mine) for at, texts in one.items()}
    progress(len(costs), len(costs))
    return [found[at] for at in range(len(costs))]


def _pieces(stops: Sequence[tuple[str, ...]]) -> list[list[int]]:
    """Prompts that end alike, in order, in pieces of limited size.

    >>> _pieces([(), ("x",), ()])
    [[0, 2], [1]]
    """
    by_stop: dict[tuple[str, ...], list[int]] = {}
    for at, ends in enumerate(stops):
        by_stop.setdefault(ends, []).append(at)
    return [group[start : start + _PIECE] for group in by_stop.values() for start in range(0, len(group), _PIECE)]
