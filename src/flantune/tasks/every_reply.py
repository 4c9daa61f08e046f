"""Conversations as training examples, one for each reply that may be asked for; a view, nothing is copied."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

import numpy as np

from flantune.tasks.example_store import ExampleStore, Int64, JoinedExamples
from flantune.tasks.lazy_examples import LazyExamples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flantune.types import Example

_BLOCK = 1_024
"""Conversations whose replies are counted together: memory holds a number for each block, not for each of them."""


class Conversations(Protocol):
    """A split's conversations by number."""

    def __len__(self) -> int:
        """How many."""

    def __getitem__(self, index: int, /) -> Example:
        """The one with this number."""


class EveryReply(LazyExamples):
    """Each reply of each conversation as an example of its own, in order.

    Attributes:
        conversations: Where they are read.
    """

    __slots__ = ("_ends", "conversations")

    def __init__(self, conversations: Conversations, ends: tuple[int, ...] | None = None) -> None:
        self.conversations = conversations
        starts = range(0, len(conversations), _BLOCK)
        self._ends = ends or tuple(accumulate(int(self._counts(start).sum()) for start in starts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def read(self, number: int) -> Example:
        """The example of this number: a conversation that asks for this reply alone."""
        block = bisect_right(self._ends, number)
        ends = np.cumsum(self._counts(block * _BLOCK))
        number -= self._ends[block - 1] if block else 0
        at = int(np.searchsorted(ends, number, side="right"))
        example = self.conversations[block * _BLOCK + at]
        reply = number - (int(ends[at - 1]) if at else 0)
        return replace(example, replies=(example.replies[reply],))

    def view(self, numbers: range) -> Sequence[Example]:
        """The examples themselves."""
        return [self.read(number) for number in numbers]

    def __reduce__(self) -> tuple[type[EveryReply], tuple[Conversations, tuple[int, ...]]]:
        return EveryReply, (self.conversations, self._ends)

    def _counts(self, start: int) -> Int64:
        """The replies of each conversation of a block."""
        return reply_counts(self.conversations, start, min(start + _BLOCK, len(self.conversations)))


def reply_counts(conversations: Conversations, start: int, stop: int) -> Int64:
    """How many replies may be asked for in each of some conversations."""
    if isinstance(conversations, ExampleStore):
        return conversations.reply_counts(start, stop)
    if isinstance(conversations, JoinedExamples):
        found, first = [np.zeros(0, dtype=np.int64)], 0
        for part in conversations.parts:
            bounds = max(start - first, 0), min(stop - first, len(part))
            found += [part.reply_counts(*bounds)] if bounds[0] < bounds[1] else []
            first += len(part)
        return np.concatenate(found)
    return np.array([len(conversations[at].replies) for at in range(start, stop)], dtype=np.int64)
