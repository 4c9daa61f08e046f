"""Conversations as training examples, one for each reply that can be a target; a view, without copies."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from flantune.tasks.lazy_examples import Int64, LazyExamples, reply_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flantune.prompts.exemplars import Examples
    from flantune.types import Example

_BLOCK = 1_024
"""Conversations whose replies are counted together, so that memory holds one number per block."""


class EveryReply(LazyExamples):
    """Each reply of each conversation as a separate example, in order.

    Attributes:
        conversations: The conversations.
    """

    __slots__ = ("_ends", "conversations")

    def __init__(self, conversations: Examples, ends: tuple[int, ...] | None = None) -> None:
        self.conversations = conversations
        starts = range(0, len(conversations), _BLOCK)
        self._ends = ends or tuple(accumulate(int(self._counts(start).sum()) for start in starts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def read(self, number: int) -> Example:
        """The example with this number: a conversation with only this reply as a target."""
        at, reply = self.place(number)
        example = self.conversations[at]
        return replace(example, replies=(example.replies[reply],))

    def place(self, number: int) -> tuple[int, int]:
        """The conversation with the example of this number, and the index of the reply."""
        block = bisect_right(self._ends, number)
        ends = np.cumsum(self._counts(block * _BLOCK))
        number -= self._ends[block - 1] if block else 0
        at = int(np.searchsorted(ends, number, side="right"))
        return block * _BLOCK + at, number - (int(ends[at - 1]) if at else 0)

    def view(self, numbers: range) -> Sequence[Example]:
        """The examples themselves."""
        return [self.read(number) for number in numbers]

    def reply_counts(self, start: int, stop: int) -> Int64:
        """One each."""
        return np.ones(max(stop - start, 0), dtype=np.int64)

    def __reduce__(self) -> tuple[type[EveryReply], tuple[Examples, tuple[int, ...]]]:
        return EveryReply, (self.conversations, self._ends)

    def _counts(self, start: int) -> Int64:
        """The replies of each conversation of a block."""
        return reply_counts(self.conversations, start, min(start + _BLOCK, len(self.conversations)))
