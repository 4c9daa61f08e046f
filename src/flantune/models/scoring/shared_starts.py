"""Starts shared by contexts, and which of them are worth reading once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from flantune.packing.encoded import common_length
from flantune.types import Int32

FORWARD_COST = 24
"""Array positions that another forward pass must save to be worth its overhead, on a CPU: the cost of reading all
weights once, in positions."""
PREFIX_SHARE = 0.03
"""Cost of attending to a cached position (copying its keys and values), as a share of reading it again."""


def token_order(contexts: Sequence[Int32]) -> list[int]:
    """An order of contexts in which those with a shared start are adjacent."""
    return sorted(range(len(contexts)), key=lambda at: (contexts[at].tolist(), at))


@dataclass(frozen=True, slots=True)
class PrefixGroup:
    """Contexts that start with the same tokens.

    Attributes:
        members: Indices of the contexts.
        length: Number of shared tokens; 0: nothing worth sharing.
    """

    members: tuple[int, ...]
    length: int


def shared_prefixes(contexts: Sequence[Int32], *, pass_cost: int = FORWARD_COST) -> list[PrefixGroup]:
    """Groups of contexts for which reading each group's shared start only once saves most.

    Few-shot prompts of a template share their exemplars, zero-shot ones an instruction, questions about one passage
    share the passage. Of nested prefixes, the one that saves most is used. The last token of a context is never part
    of a prefix, since the first token of its options is predicted there.

    >>> import numpy as np
    >>> few_shot = [np.array([7] * 90 + [row]) for row in range(9)]
    >>> [(group.members, group.length) for group in shared_prefixes([*few_shot, np.array([8, 9])])]
    [((0, 1, 2, 3, 4, 5, 6, 7, 8), 90), ((9,), 0)]
    """
    order = token_order(contexts)
    shared = [common_length(contexts[left], contexts[right]) for left, right in pairwise(order)]
    whole = _best_groups([len(contexts[at]) for at in order], shared, pass_cost)
    groups = sorted([*whole.groups, *([(whole.free, 0)] if whole.free else [])])
    return [PrefixGroup(tuple(sorted(order[place] for place in places)), length) for places, length in groups]


@dataclass(slots=True)
class _Stretch:
    """A stretch of sorted contexts that share their first ``shared`` tokens, and the best way to group it.

    Attributes:
        shared: Number of shared tokens.
        start: Index of the first context.
        gain: Positions saved by the groups.
        groups: Indices and prefix length of each group.
        free: Indices in no group.
    """

    shared: int
    start: int
    gain: float = 0.0
    groups: list[tuple[list[int], int]] = field(default_factory=list)
    free: list[int] = field(default_factory=list)

    def take_in(self, inner: _Stretch) -> None:
        """Adds a finished stretch inside this one."""
        self.gain += inner.gain
        self.groups += inner.groups
        self.free += inner.free

    def finish(self, end: int, shortest: int, pass_cost: int) -> None:
        """Adds one prefix for all, or for contexts still in no group, if either saves more than it costs."""
        length = min(self.shared, shortest - 1)
        alone = _saved(end - self.start, length, pass_cost)
        rest = _saved(len(self.free), length, pass_cost)
        if alone > self.gain + max(rest, 0.0):
            self.gain, self.groups, self.free = alone, [(list(range(self.start, end)), length)], []
        elif rest > 0:
            self.gain, self.groups, self.free = self.gain + rest, [*self.groups, (self.free, length)], []


def _saved(count: int, length: int, pass_cost: int) -> float:
    """Positions saved when contexts share a prefix: it is read once, at the cost of two more passes."""
    return (count - 1 - count * PREFIX_SHARE) * length - 2 * pass_cost


def _best_groups(lengths: Sequence[int], shared: Sequence[int], pass_cost: int) -> _Stretch:
    """Groups of sorted contexts; the numbers of tokens shared with the next context form a tree of nested stretches.

    Args:
        lengths: Number of tokens of each context, in order.
        shared: Number of tokens that each shares with the next.
        pass_cost: Array positions that one more forward pass must save.
    """
    stack = [_Stretch(0, 0)]
    for place, length in enumerate(lengths):
        before = shared[place - 1] if place else 0
        after = shared[place] if place < len(shared) else 0
        deepest = max(before, after)
        if stack[-1].shared < deepest:
            stack.append(_Stretch(deepest, place))
        stack[-1].free.append(place)
        while stack[-1].shared > after:
            inner = stack.pop()
            inner.finish(place + 1, min(lengths[inner.start], length), pass_cost)
            if stack[-1].shared < after:
                stack.append(_Stretch(after, inner.start))
            stack[-1].take_in(inner)
    return stack[0]
