"""The findings as a filter: rows to leave out of training, and of scores on clean rows."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import PlainSerializer

from flantune.contamination.findings import Contamination
from flantune.errors import ConfigError
from flantune.settings.json_file import read_value, write_value
from flantune.tasks.example_store import PreparedTask
from flantune.tasks.lazy_examples import Int64, LazyExamples, reply_counts
from flantune.types import Example, SplitRole

Rows = Annotated[frozenset[int], PlainSerializer(sorted, return_type=list[int])]
"""Numbers of rows; sorted when written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanFold:
    """The dirty rows of one fold, as raw row numbers of the source split.

    Attributes:
        held_out: The fold's clusters.
        train: Training task → rows to leave out of training.
        test: Measured task → rows to leave out of its score on clean rows.
    """

    held_out: tuple[str, ...]
    train: Mapping[str, Rows]
    test: Mapping[str, Rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanFilter:
    """A filter file, such as ``contamination.json`` of a run folder: the run's name, and its folds."""

    schema: Literal[1] = 1
    name: str
    folds: tuple[CleanFold, ...]


def write_clean(path: Path, report: Contamination) -> Path:
    """Writes every dirty row of a report, fold by fold, to a file that ``read_clean`` reads."""
    folds = tuple(
        CleanFold(
            held_out=fold.held_out,
            train={one.task: frozenset(one.dirty) for one in fold.train if one.dirty},
            test={one.task: frozenset(one.dirty) for one in fold.tasks if one.dirty},
        )
        for fold in report.folds
    )
    return write_value(path, CleanFilter(name=report.name, folds=folds))


def read_clean(path: Path) -> tuple[CleanFold, ...]:
    """The folds of a filter file.

    Raises:
        ConfigError: The file is missing or is not a filter file.
    """
    mends = "write it with `flantune contamination RUN_FILE --clean FILE`"
    return read_value(path, CleanFilter, mends=mends, error=ConfigError, what="no filter file").folds


def fold_of(folds: Iterable[CleanFold], clusters: Collection[str], *, where: str = "") -> CleanFold:
    """The filter of the fold that holds out these clusters.

    Raises:
        ConfigError: There is none: the file was written for other folds.
    """
    known = list(folds)
    for fold in known:
        if set(fold.held_out) == set(clusters):
            return fold
    listing = "; ".join(", ".join(fold.held_out) for fold in known) or "none"
    raise ConfigError(
        f"the filter has no fold that holds out {', '.join(clusters)}",
        where=where,
        hint=f"its folds are: {listing}; write it again with `flantune contamination`",
    )


def leave_out(prepared: Iterable[PreparedTask], rows: Mapping[str, Collection[int]]) -> list[PreparedTask]:
    """The tasks without some rows of their train splits; if none is left, without the train split.

    Args:
        prepared: The tasks.
        rows: Task → raw rows of its train split to leave out, as in ``CleanFold.train``.
    """
    return [_without(one, rows.get(one.task.name, ())) for one in prepared]


class KeptExamples(LazyExamples):
    """A store without some of its examples: can be pickled, reads lazily, and takes eight bytes per kept example."""

    __slots__ = ("_kept", "_store")

    def __init__(self, store: Sequence[Example], kept: Sequence[int] | np.ndarray[Any, Any]) -> None:
        self._store, self._kept = store, np.asarray(kept, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._kept)

    def read(self, number: int) -> Example:
        """The kept example with this number."""
        return self._store[int(self._kept[number])]

    def view(self, numbers: range) -> Sequence[Example]:
        """A view of some of the kept examples."""
        return KeptExamples(self._store, self._kept[np.asarray(numbers, dtype=np.int64)])

    def reply_counts(self, start: int, stop: int) -> Int64:
        """The numbers of replies in the kept examples from ``start`` to ``stop``."""
        kept = self._kept[start:stop]
        if not len(kept):
            return kept
        counts: Int64 = reply_counts(self._store, int(kept[0]), int(kept[-1]) + 1)[kept - kept[0]]
        return counts

    def __reduce__(self) -> tuple[type[KeptExamples], tuple[Sequence[Example], np.ndarray[Any, Any]]]:
        return KeptExamples, (self._store, self._kept)

    def __repr__(self) -> str:
        # Complete, since it is part of a run's fingerprint.
        left_out = np.setdiff1d(np.arange(len(self._store)), self._kept)
        return f"KeptExamples({self._store!r}, without={left_out.tolist()})"


def _without(prepared: PreparedTask, rows: Collection[int]) -> PreparedTask:
    store = prepared.stores.get("train", ())
    numbers = {number for row in rows if (number := _number_of(store, row)) is not None}
    if not numbers:
        return prepared
    kept = np.setdiff1d(np.arange(len(store)), np.array(sorted(numbers)))
    if len(kept):
        return only_rows(prepared, kept)
    stores: dict[SplitRole, Sequence[Example]] = {role: one for role, one in prepared.stores.items() if role != "train"}
    splits: dict[SplitRole, str] = {role: text for role, text in prepared.task.splits.items() if role != "train"}
    return replace(prepared, task=replace(prepared.task, splits=splits), stores=stores)


def only_rows(prepared: PreparedTask, numbers: Sequence[int] | np.ndarray[Any, Any]) -> PreparedTask:
    """The task with only some of its training examples, given by number in ascending order."""
    kept = KeptExamples(prepared.stores["train"], numbers)
    return replace(prepared, stores={**prepared.stores, "train": kept})


def _number_of(store: Sequence[Example], row: int) -> int | None:
    """The index of a raw row in a store, whose rows are sorted; None if it is not there."""
    number = bisect_left(store, row, key=attrgetter("row"))
    return number if number < len(store) and store[number].row == row else None
