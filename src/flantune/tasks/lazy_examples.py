"""Examples that are read one at a time, when they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from operator import index as as_index
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from flantune.types import Example

if TYPE_CHECKING:
    from flantune.prompts.exemplars import Examples

Int64 = NDArray[np.int64]


class LazyExamples(Sequence[Example], ABC):
    """A sequence of examples of which a kind of store says only how to read one, and how to view some.

    Indices may be negative, slices may have any step, as in a list.
    """

    __slots__ = ()

    @abstractmethod
    def read(self, number: int) -> Example:
        """The example of this number, which is at least 0 and below the length."""

    @abstractmethod
    def view(self, numbers: range) -> Sequence[Example]:
        """The examples of these numbers, in their order."""

    @abstractmethod
    def reply_counts(self, start: int, stop: int) -> Int64:
        """How many replies may be asked for in each of the examples from ``start`` up to ``stop``."""

    @overload
    def __getitem__(self, number: int) -> Example: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Example]: ...
    def __getitem__(self, number: int | slice) -> Example | Sequence[Example]:
        if isinstance(number, slice):
            return self.view(range(*number.indices(len(self))))
        at = as_index(number)
        if at < 0:
            at += len(self)
        if not 0 <= at < len(self):
            raise IndexError(f"example {number} of {len(self)}")
        return self.read(at)

    def __iter__(self) -> Iterator[Example]:
        return map(self.read, range(len(self)))


def reply_counts(examples: Examples, start: int, stop: int) -> Int64:
    """How many replies may be asked for in each of some conversations, in whatever sequence they are."""
    if isinstance(examples, LazyExamples):
        return examples.reply_counts(start, stop)
    return np.array([len(examples[at].replies) for at in range(start, stop)], dtype=np.int64)
