"""Adapted examples on disk: Arrow IPC files, written once in batches, memory-mapped and read by number."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from flantune.tasks.arrow_files import ArrowFile, ArrowWriter
from flantune.tasks.lazy_examples import Int64, LazyExamples
from flantune.tasks.rows import OTHER_FIELDS, BadRow, BadRowNote
from flantune.types import Example, SplitRole, Task, Turn

STORE_VERSION = 4
_BATCH_ROWS = 1024
_BATCH_CHARACTERS = 8 * 2**20
_FIELD = "field."
_TURNS = ("turn.speakers", "turn.texts", "turn.replies")
"""Columns of stores of conversations."""
_DETAIL_CHARACTERS = 300
_FIRST_BAD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitReport:
    """What happened to the rows of one split.

    Attributes:
        split: The role.
        source: Where the rows are, and the slice taken.
        raw_rows: Rows in the slice.
        kept: Rows that became examples.
        dropped: Rows that the adapter dropped on purpose.
        bad: Reason → rows counted under it.
        first_bad: The first few bad rows of each reason.
    """

    split: SplitRole
    source: str
    raw_rows: int
    kept: int
    dropped: int
    bad: Mapping[str, int]
    first_bad: tuple[BadRowNote, ...]


class ExampleStore(LazyExamples):
    """The examples of one split by number: fast at random, in constant memory, and the same in every process.

    Holds only a path and two numbers until it is read; only these are pickled.

    Attributes:
        path: The Arrow file.
        start: Number of the first example of the view in the file.
        stop: One past the last.
    """

    __slots__ = ("_file", "path", "start", "stop")

    def __init__(self, path: Path, start: int, stop: int) -> None:
        self.path, self.start, self.stop = path, start, stop
        self._file: _StoredExamples | None = None

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self, number: int) -> Example:
        """The example with this number in the view."""
        # Two threads may both open the file: the results are equal, and the assignment is atomic.
        file = self._file
        if file is None:
            file = self._file = _StoredExamples(self.path)
        return file.example(self.start + number)

    def view(self, numbers: range) -> Sequence[Example]:
        """Consecutive examples are a view of the same file."""
        if numbers.step == 1:
            return ExampleStore(self.path, self.start + numbers.start, self.start + numbers.start + len(numbers))
        return [self.read(number) for number in numbers]

    def reply_counts(self, start: int, stop: int) -> Int64:
        """Read from a column of the file, without reading any turns."""
        file = self._file = self._file or _StoredExamples(self.path)
        return file.reply_counts(self.start + start, self.start + stop)

    def __reduce__(self) -> tuple[type[ExampleStore], tuple[Path, int, int]]:
        return ExampleStore, (self.path, self.start, self.stop)

    def __repr__(self) -> str:
        return f"ExampleStore({str(self.path)!r}, {self.start}, {self.stop})"


class JoinedExamples(LazyExamples):
    """The examples of several ranges of one stored split, one after another.

    Attributes:
        parts: The ranges, in row order.
    """

    __slots__ = ("_ends", "parts")

    def __init__(self, parts: Sequence[ExampleStore]) -> None:
        self.parts = tuple(parts)
        self._ends = tuple(accumulate(map(len, self.parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def read(self, number: int) -> Example:
        """The example with this number, over all ranges."""
        place = bisect_right(self._ends, number)
        return self.parts[place][number - (self._ends[place - 1] if place else 0)]

    def view(self, numbers: range) -> Sequence[Example]:
        """The examples themselves."""
        return [self.read(number) for number in numbers]

    def reply_counts(self, start: int, stop: int) -> Int64:
        """Those of the ranges."""
        found, first = [np.zeros(0, dtype=np.int64)], 0
        for part in self.parts:
            found.append(part.reply_counts(max(start - first, 0), min(stop - first, len(part))))
            first += len(part)
        return np.concatenate(found)

    def __reduce__(self) -> tuple[type[JoinedExamples], tuple[tuple[ExampleStore, ...]]]:
        return JoinedExamples, (self.parts,)

    def __repr__(self) -> str:
        return f"JoinedExamples({list(self.parts)!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedTask:
    """A task with its adapted rows.

    Attributes:
        stores: Role → its examples. Roles that the task does not name are absent.
        reports: Role → what happened to its rows.
        missing: Role → why it is missing; only filled if missing data may be skipped.
    """

    task: Task
    stores: Mapping[SplitRole, Sequence[Example]]
    reports: Mapping[SplitRole, SplitReport]
    missing: Mapping[SplitRole, str] = field(default_factory=dict)


class _StoredExamples:
    """The examples of a file; opening it reads no row."""

    __slots__ = ("_columns", "_file", "_slots")

    def __init__(self, path: Path) -> None:
        self._file = ArrowFile(path)
        self._slots = tuple(name.removeprefix(_FIELD) for name in self._file.names if name.startswith(_FIELD))
        self._columns: list[tuple[Any, ...] | None] = [None] * len(self._file)

    def example(self, number: int) -> Example:
        batch, k = self._file.place(number)
        columns = self._columns[batch]
        if columns is None:
            columns = self._columns[batch] = tuple(self._file.batch(batch).columns)
        row, answer, options, references, group, *fields = columns
        said = fields[len(self._slots) :]
        speakers, texts, replies = (column[k].as_py() for column in said) if said else ((), (), ())
        return Example(
            row=row[k].as_py(),
            fields={slot: column[k].as_py() for slot, column in zip(self._slots, fields, strict=False)},
            options=tuple(options[k].as_py()),
            answer=answer[k].as_py(),
            references=tuple(references[k].as_py()),
            group=group[k].as_py(),
            turns=tuple(map(Turn, speakers, texts)),
            replies=tuple(replies),
        )

    def reply_counts(self, start: int, stop: int) -> Int64:
        counts = []
        while start < stop:
            batch, first = self._file.place(start)
            column = self._file.batch(batch).column(_TURNS[-1])
            part = column.slice(first, min(stop - start, len(column) - first))
            counts.append(part.value_lengths().to_numpy().astype(np.int64))
            start += len(part)
        return np.concatenate(counts) if counts else np.zeros(0, dtype=np.int64)


class ExampleWriter:
    """Writes examples to an Arrow file, a batch at a time, in constant memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: ArrowWriter | None = None
        self._slots: tuple[str, ...] | None = None
        self._has_turns = False
        self._batch: list[tuple[int, Example]] = []
        self._characters = 0

    def add(self, row: int, example: Example) -> None:
        """Adds the example of a raw row.

        Raises:
            BadRow: Its fields differ from those of the first example, so that no template fits both.
        """
        slots = tuple(example.fields)
        if self._slots is None:
            self._slots, self._has_turns = slots, bool(example.turns)
        elif slots != self._slots and set(slots) != set(self._slots):
            raise BadRow(OTHER_FIELDS, f"got {', '.join(slots)}; expected {', '.join(self._slots)}")
        elif bool(example.turns) != self._has_turns:
            raise BadRow(OTHER_FIELDS, "got a row with turns and one without; expected turns in all or in none")
        self._batch.append((row, example))
        self._characters += sum(map(len, example.fields.values())) + sum(len(turn.text) for turn in example.turns)
        if len(self._batch) >= _BATCH_ROWS or self._characters >= _BATCH_CHARACTERS:
            self._flush()

    def close(self) -> None:
        """Writes the remaining examples, the file's end and its checksums."""
        self._flush().close()

    def abandon(self) -> None:
        """Closes the file after an error; what was written is of no use."""
        if self._writer is not None:
            self._writer.abandon()

    def _flush(self) -> ArrowWriter:
        slots = self._slots or ()
        if self._writer is None:
            self._writer = ArrowWriter(self._path, _schema(slots, has_turns=self._has_turns))
        examples = [example for _, example in self._batch]
        columns = [
            [row for row, _ in self._batch],
            [example.answer for example in examples],
            [example.options for example in examples],
            [example.references for example in examples],
            [example.group for example in examples],
            *([example.fields[slot] for example in examples] for slot in slots),
        ]
        if self._has_turns:
            columns += [
                [[turn.speaker for turn in example.turns] for example in examples],
                [[turn.text for turn in example.turns] for example in examples],
                [example.replies for example in examples],
            ]
        self._writer.write(pa.record_batch(columns, schema=self._writer.schema))
        self._batch, self._characters = [], 0
        return self._writer


def _schema(slots: tuple[str, ...], *, has_turns: bool) -> Any:
    texts = pa.list_(pa.string())
    fixed = [
        ("row", pa.int64()),
        ("answer", pa.int32()),
        ("options", texts),
        ("references", texts),
        ("group", pa.string()),
    ]
    said = zip(_TURNS, (texts, texts, pa.list_(pa.int32())), strict=True) if has_turns else ()
    return pa.schema([*fixed, *((_FIELD + slot, pa.string()) for slot in slots), *said])


class SkippedWriter:
    """Records which rows were skipped, and why, in constant memory."""

    _schema = pa.schema([("row", pa.int64()), ("reason", pa.string()), ("detail", pa.string())])

    def __init__(self, path: Path) -> None:
        self._writer = ArrowWriter(path, self._schema)
        self._batch: list[dict[str, object]] = []

    def add(self, row: int, reason: str = "", detail: str = "") -> None:
        """Adds one row; without a reason, it was dropped on purpose."""
        texts = {"reason": reason, "detail": detail[:_DETAIL_CHARACTERS]}
        # A detail may quote what could not be decoded.
        clean = {key: text.encode("utf-8", "backslashreplace").decode() for key, text in texts.items()}
        self._batch.append({"row": row, **clean})
        if len(self._batch) >= _BATCH_ROWS:
            self._flush()

    def close(self) -> None:
        """Writes the remaining rows and the file's end."""
        self._flush()
        self._writer.close()

    def abandon(self) -> None:
        """Closes the file after an error."""
        self._writer.abandon()

    def _flush(self) -> None:
        self._writer.write(pa.RecordBatch.from_pylist(self._batch, schema=self._schema))
        self._batch = []


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedRows:
    """The skipped rows of a slice.

    Attributes:
        before: Skipped rows before the slice.
        dropped: Rows of the slice dropped on purpose.
        bad: Reason → bad rows of the slice.
        first_bad: The first few bad rows of each reason.
    """

    before: int
    dropped: int
    bad: Mapping[str, int]
    first_bad: tuple[BadRowNote, ...]


def read_skipped(path: Path, start: int, stop: int) -> SkippedRows:
    """Counts the skipped rows of a slice of raw row numbers.

    Raises:
        DamagedStoreError: The file is not what was written.
    """
    before, reasons, notes = 0, Counter[str](), list[BadRowNote]()
    file = ArrowFile(path)
    for batch in map(file.batch, range(len(file))):
        low, high = np.searchsorted(batch.column("row").to_numpy(), [start, stop]).tolist()
        before += low
        part = batch.slice(low, high - low)
        reasons.update({item["values"]: item["counts"] for item in part.column("reason").value_counts().to_pylist()})
        notes = _first_notes(notes, part)
    return SkippedRows(before=before, dropped=reasons.pop("", 0), bad=dict(reasons), first_bad=tuple(notes))


def _first_notes(notes: list[BadRowNote], batch: Any) -> list[BadRowNote]:
    """The notes so far and those of a batch, the first few of each reason."""
    have = Counter(note.reason for note in notes)
    more = []
    for k, reason in enumerate(batch.column("reason").to_pylist()):
        if reason and have[reason] < _FIRST_BAD:
            have[reason] += 1
            row, _, detail = (column[k].as_py() for column in batch.columns)
            more.append(BadRowNote(reason=reason, row=row, detail=detail))
    return notes + more
