"""Examples that are read one at a time, on demand."""

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
    """A sequence of examples; a kind of store only defines how to read one, and how to view some.

    Indices may be negative, and slices may have any step, as in a list.
    """

    __slots__ = ()

    @abstractmethod
    def read(self, number: int) -> Example:
        """The example with this number, which is between 0 and the length."""

    @abstractmethod
    def view(self, numbers: range) -> Sequence[Example]:
        """The examples with these numbers, in this order."""

    @abstractmethod
    def reply_counts(self, start: int, stop: int) -> Int64:
        """The number of possible target replies in each of the examples from ``start`` up to ``stop``."""

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
    """The number of possible target replies in each conversation of any sequence."""
    if isinstance(examples, LazyExamples):
        return examples.reply_counts(start, stop)
    return np.array([len(examples[at].replies) for at in range(start, stop)], dtype=np.int64)
