"""The compared rows: training rows on one side, measured rows on the other, each read in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flantune.contamination.hashing import Int64, ranges
from flantune.contamination.words import Words, read_words, split_words
from flantune.types import Example, SplitRole

BLOCK_CHARACTERS = 1 << 20
"""Characters processed together: arrays small enough for a processor's cache, large enough for numpy."""
WHOLE_ROW = -1
"""The field number of a row taken as one text."""


def texts_of(example: Example) -> tuple[str, ...]:
    """All texts of a row: its fields in order, then its references."""
    return (*example.fields.values(), *example.references)


class Named(Protocol):
    """A task, or anything else with rows and a name."""

    @property
    def name(self) -> str:
        """Its name in the report."""


class HasRows(Protocol):
    """A task with its examples; ``flantune.tasks.example_store.PreparedTask`` is one."""

    @property
    def task(self) -> Named:
        """The task."""

    @property
    def stores(self) -> Mapping[SplitRole, Sequence[Example]]:
        """Its examples by split."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """Some consecutive rows of a corpus.

    Attributes:
        first_row: Number of the first row in the corpus.
        row_of_text: Row of each text, counted from ``first_row``, shape [texts].
        is_reference: Whether a text is a reference and not a field, shape [texts].
        rows: Number of rows.
        words: The words of the texts.
    """

    first_row: int
    row_of_text: NDArray[np.int64]
    is_reference: NDArray[np.bool_]
    rows: int
    words: Words


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComparedRows:
    """One split role of several tasks, with their rows numbered from first to last.

    Attributes:
        names: Task names, sorted, so that the order of tasks does not matter.
        stores: Their rows.
        firsts: Number of each task's first row, and at the end the number of rows.
    """

    names: tuple[str, ...]
    stores: tuple[Sequence[Example], ...]
    firsts: Int64 = field(repr=False)

    @property
    def rows(self) -> int:
        """Rows of all tasks together."""
        return int(self.firsts[-1])

    def tasks_of(self, rows: Int64) -> Int64:
        """The task number of each row."""
        return np.searchsorted(self.firsts, rows, side="right") - 1

    def example(self, row: int) -> Example:
        """The example with this number."""
        task = int(self.tasks_of(np.asarray(row)))
        return self.stores[task][row - int(self.firsts[task])]

    def field_names(self, task: int) -> tuple[str, ...]:
        """The names of a task's fields, in the order of its texts; what comes after them are references."""
        return tuple(self.stores[task][0].fields) if len(self.stores[task]) else ()

    def strings(self, row: int, field_number: int) -> list[str]:
        """The words of one text of a row, or of all texts."""
        texts = texts_of(self.example(row))
        chosen = texts if field_number == WHOLE_ROW else texts[field_number : field_number + 1]
        return [word for text in chosen for word in split_words(text)]

    def blocks(self, on_rows: Callable[[int], None] | None = None) -> Iterator[Block]:
        """All rows in order, read into words, in constant memory."""
        rows: list[Example] = []
        first, characters = 0, 0
        for example in self._examples():
            rows.append(example)
            characters += sum(map(len, texts_of(example)))
            if characters >= BLOCK_CHARACTERS:
                yield _read_block(rows, first)
                first, characters, rows = first + len(rows), 0, []
                if on_rows is not None:
                    on_rows(first)
        if rows:
            yield _read_block(rows, first)

    def _examples(self) -> Iterator[Example]:
        return (example for store in self.stores for example in store)


def make_corpus(prepared: Iterable[HasRows], role: SplitRole) -> ComparedRows:
    """The rows of one split role of the tasks that have it."""
    chosen = sorted((p for p in prepared if len(p.stores.get(role, ()))), key=lambda p: p.task.name)
    stores = tuple(p.stores[role] for p in chosen)
    sizes = np.array([len(store) for store in stores], dtype=np.int64)
    return ComparedRows(names=tuple(p.task.name for p in chosen), stores=stores, firsts=ranges(sizes))


def _read_block(rows: Sequence[Example], first: int) -> Block:
    counts = np.array([(len(example.fields), len(example.references)) for example in rows])
    return Block(
        first_row=first,
        row_of_text=np.repeat(np.arange(len(rows)), counts.sum(axis=1)),
        is_reference=np.repeat(np.tile([False, True], len(rows)), counts.ravel()),
        rows=len(rows),
        words=read_words([text for example in rows for text in texts_of(example)]),
    )
