"""Which prompts begin alike, so that what they share is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flantune.packing.starts import common_length

if TYPE_CHECKING:
    from flantune.types import Int32

SHORTEST = 16
"""A common prefix of fewer tokens is not worth a forward pass of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixGroup:
    """Prompts that share their first tokens.

    Attributes:
        length: How many tokens they share; 0 for those that share nothing.
        members: Which prompts, longest first.
    """

    length: int
    members: tuple[int, ...]


def prefix_groups(prompts: Sequence[Int32]) -> tuple[PrefixGroup, ...]:
    """Groups such that sharing each group's prefix saves the most positions; the group with the longest prompt first.

    At least one token of each prompt stays outside the prefix, so that each has a last position of its own.

    >>> import numpy as np
    >>> shown = list(range(100, 120))
    >>> prompts = [np.array(ids, dtype=np.int32) for ids in ([*shown, 1, 2], [7, 8, 9], [*shown, 3])]
    >>> prefix_groups(prompts)
    (PrefixGroup(length=20, members=(0, 2)), PrefixGroup(length=0, members=(1,)))
    """
    order = sorted(range(len(prompts)), key=lambda at: prompts[at].tolist())
    ordered = [prompts[at] for at in order]
    shared = [common_length(left, right) for left, right in pairwise(ordered)]
    room = [len(ids) - 1 for ids in ordered]
    groups, single = [], []
    for start, stop in _best_cuts(shared, room):
        members = sorted((order[at] for at in range(start, stop)), key=lambda at: (-len(prompts[at]), at))
        length = _prefix(shared, room, start, stop)
        if stop - start > 1 and length >= SHORTEST:
            groups.append(PrefixGroup(length=length, members=tuple(members)))
        else:
            single += members
    if single:
        single.sort(key=lambda at: (-len(prompts[at]), at))
        groups.append(PrefixGroup(length=0, members=tuple(single)))
    return tuple(sorted(groups, key=lambda group: (-len(prompts[group.members[0]]), group.members[0])))


def _prefix(shared: Sequence[int], room: Sequence[int], start: int, stop: int) -> int:
    return min((*shared[start : stop - 1], *room[start:stop]))


def _best_cuts(shared: Sequence[int], room: Sequence[int]) -> list[tuple[int, int]]:
    """Ranges of sorted prompts, by cutting where neighbors share least as long as that saves more than it loses.

    A loop over a stack instead of recursion: thousands of prompts may nest as deep as they are many.
    """
    if not room:
        return []
    nodes = _cut_tree(shared, len(room))
    best: dict[tuple[int, int], tuple[int, list[tuple[int, int]]]] = {}
    for start, stop, cut in reversed(nodes):
        whole = (stop - start - 1) * _prefix(shared, room, start, stop) if stop - start > 1 else 0
        if cut is None:
            best[start, stop] = (whole, [(start, stop)])
            continue
        (left, left_cuts), (right, right_cuts) = best.pop((start, cut)), best.pop((cut, stop))
        is_whole = whole >= left + right
        best[start, stop] = (whole, [(start, stop)]) if is_whole else (left + right, left_cuts + right_cuts)
    return best[0, len(room)][1]


def _cut_tree(shared: Sequence[int], size: int) -> list[tuple[int, int, int | None]]:
    """Ranges with the place to cut each, every range before its parts."""
    nodes: list[tuple[int, int, int | None]] = []
    stack = [(0, size)]
    while stack:
        start, stop = stack.pop()
        inner = shared[start : stop - 1]
        if not inner or min(inner) == max(inner):
            # All neighbors share alike: cutting could save nothing.
            nodes.append((start, stop, None))
            continue
        low = min(inner)
        places = [at for at, value in enumerate(inner) if value == low]
        cut = start + 1 + places[len(places) // 2]
        nodes.append((start, stop, cut))
        stack += [(start, cut), (cut, stop)]
    return nodes
