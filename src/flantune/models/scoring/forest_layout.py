"""Requests of a decoder-only model in one line: contexts that share starts, with their options as branches.

A line has hardly any padding. What a context shares with the one before it is not read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flantune.models.scoring.option_tries import OptionTrie, option_trie
from flantune.packing.arrays import first_items
from flantune.packing.encoded import common_length
from flantune.packing.packs import EncodedPrompt, TargetTokens
from flantune.types import Int32

SHORTEST = 8
"""Shorter shared starts are read again, because gathering their keys and values takes as long."""
STEP = 32
"""A line is padded to a multiple of this many tokens, so that few shapes occur (``segment_plan.padded_length``)."""
SHORT = 128
"""A line up to this length is padded to a multiple of ``STEP`` / 2."""


@dataclass(frozen=True, slots=True, eq=False)
class PlacedRequest:
    """The place of a request in its line.

    Attributes:
        start: Start of its own tokens: the part of its context that it does not share, then the nodes of its options.
        end: End of its own tokens.
        seen: Earlier stretches of the line with which its context starts, without the prefix of all contexts.
        context: How many of its own tokens belong to the context.
        trie: Its options; node 0 is the context's last token.
        is_mutual: Whether the tokens of its context attend to each other in both directions.
    """

    start: int
    end: int
    seen: tuple[tuple[int, int], ...]
    context: int
    trie: OptionTrie
    is_mutual: bool = False

    @property
    def sees(self) -> NDArray[np.bool_]:
        """Which of its own tokens (second) each of them (first) attends to, [own, own]."""
        own = self.end - self.start
        sees = np.tri(own, dtype=np.bool_)
        sees[self.context :, self.context :] = self.trie.sees[1:, 1:]
        sees[: self.context, : self.context] |= self.is_mutual
        return sees


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """Requests in one line.

    Attributes:
        tokens: The tokens to read, with a little padding at the end, [n].
        positions: Position of each token in its own text, [n].
        requests: The place of each request.
        targets: The target tokens and the places of the line at which they are predicted; all rows are 0.
        known: Number of tokens at the start of every context that were read before.
    """

    tokens: Int32
    positions: Int32
    requests: tuple[PlacedRequest, ...]
    targets: TargetTokens
    known: int


def forest(units: Sequence[EncodedPrompt], *, known: int = 0, is_mutual: bool = False) -> Forest:
    """Puts requests in one line, in order; those with a shared start should follow each other.

    >>> contexts = np.arange(10), np.array([*range(9), 77, 78])
    >>> one, two = (EncodedPrompt(inputs=ids, targets=(np.array([5, 6]), np.array([5, 7]))) for ids in contexts)
    >>> laid = forest([one, two])
    >>> laid.tokens[:14].tolist(), laid.positions[:14].tolist()
    ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 5, 77, 78, 5], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 9, 10, 11])
    >>> laid.requests[1].seen, laid.targets.position.tolist(), laid.targets.token.tolist()
    (((0, 9),), [9, 10, 9, 10, 12, 13, 12, 13], [5, 6, 5, 7, 5, 6, 5, 7])

    Args:
        units: The requests.
        known: Number of tokens at the start of every context that were read before.
        is_mutual: The tokens of a context attend to each other in both directions, so that no start can be shared.
    """
    made: list[PlacedRequest] = []
    tokens: list[Int32] = []
    positions: list[NDArray[np.integer[Any]]] = []
    asked: list[Int32] = []
    path: tuple[tuple[int, int], ...] = ()
    at = 0
    starts = [0] * len(units) if is_mutual else shared_starts(units, known=known)
    for unit, shared in zip(units, starts, strict=True):
        trie, own = option_trie(unit.targets), unit.inputs[known + shared :]
        seen, context_end = _first(path, shared), at + len(own)
        path = (*seen, (at, context_end))
        # Node 0 is the context's last token; node 1 comes right after it.
        asked.append(trie.asked + context_end - 1)
        tokens += [own, trie.tokens[1:]]
        positions += [np.arange(known + shared, len(unit.inputs)), trie.depths[1:] + len(unit.inputs) - 1]
        made.append(PlacedRequest(at, context_end + len(trie.tokens) - 1, seen, len(own), trie, is_mutual))
        at = made[-1].end
    return Forest(
        tokens=filled(np.concatenate(tokens)),
        positions=filled(np.concatenate(positions)),
        requests=tuple(made),
        targets=line_targets(units, asked),
        known=known,
    )


def filled(line: NDArray[np.integer[Any]]) -> Int32:
    """A line padded with zeros to a round length.

    >>> len(filled(np.ones(17))), len(filled(np.ones(129)))
    (32, 160)
    """
    step = STEP // 2 if len(line) <= SHORT else STEP
    return np.pad(line, (0, -len(line) % step)).astype(np.int32)


def line_targets(units: Sequence[EncodedPrompt], asked: Sequence[Int32]) -> TargetTokens:
    """The target tokens of a line.

    Args:
        units: The requests.
        asked: For each request, the places of the line at which the tokens of its options are predicted, option after
            option.
    """
    items = [
        np.full(len(target), start + option)
        for start, unit in zip(first_items(units), units, strict=False)
        for option, target in enumerate(unit.targets)
    ]
    position = np.concatenate(asked).astype(np.int32)
    return TargetTokens(
        row=np.zeros_like(position),
        position=position,
        token=np.concatenate([target for unit in units for target in unit.targets]).astype(np.int32),
        item=np.concatenate(items).astype(np.int32),
    )


def _first(path: tuple[tuple[int, int], ...], count: int) -> tuple[tuple[int, int], ...]:
    """The stretches that make up the first ``count`` places of a path.

    >>> _first(((3, 8), (20, 30)), 7)
    ((3, 8), (20, 22))
    """
    taken = []
    for start, end in path:
        if count > 0:
            taken.append((start, min(end, start + count)))
            count -= end - start
    return tuple(taken)


def shared_starts(units: Sequence[EncodedPrompt], *, known: int = 0) -> list[int]:
    """For each request, how many tokens after the known ones it shares with the request before; 0 for the first.

    The last token of a context is never shared, since the first token of its options is predicted there.
    """
    shared = [
        min(common_length(before.inputs, unit.inputs), len(unit.inputs) - 1) - known for before, unit in pairwise(units)
    ]
    return [0, *(count if count >= SHORTEST else 0 for count in shared)][: len(units)]


def cut_forest(units: Sequence[EncodedPrompt], *, max_positions: int, known: int = 0) -> tuple[list[int], list[int]]:
    """Divides requests into lines of at most ``max_positions`` tokens (or one request).

    Args:
        units: The requests in order.
        max_positions: Largest number of tokens in a line, padding excluded.
        known: Number of tokens at the start of every context that were read before.

    Returns:
        The indices at which the lines begin and the last one ends, [lines + 1], and the tokens of each line, [lines].
    """
    wholes = [len(unit.inputs) - known + len(option_trie(unit.targets).tokens) - 1 for unit in units]
    return cut_line(wholes, shared_starts(units, known=known), max_positions=max_positions)


def cut_line(wholes: Sequence[int], shared: Sequence[int], *, max_positions: int) -> tuple[list[int], list[int]]:
    """``cut_forest`` from the number of tokens of each request, and how many of them it shares with the one before.

    >>> cut_line([50, 40, 30, 20, 10], [0] * 5, max_positions=70)
    ([0, 1, 3, 5], [50, 70, 30])
    """
    cuts, sizes, total = [0], [], 0
    for at, (whole, saved) in enumerate(zip(wholes, shared, strict=True)):
        if at > cuts[-1] and total + whole - saved > max_positions:
            cuts.append(at)
            sizes.append(total)
            total = saved
        total += whole - saved
    return [*cuts, len(wholes)], [*sizes, total]
