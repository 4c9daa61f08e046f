"""Rows of a table with quoted cells, and quotes that swallow rows.

A quote that nobody meant as one opens a cell that ends at the next such quote, however many rows later, and CSV's own
rules find nothing wrong with it. So a cell over several lines is compared with the file around it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TextIO

from flantune.tasks.rows import BROKEN_QUOTING, UnreadableRow

Cells = list[str] | UnreadableRow
_FIELD_CHARACTERS = 16 * 2**20
_LOOKED_AT = 20_000
"""Number of records from which a file's habits are read."""
_MANY_LINES = 8
"""From so many lines on, lines that look like rows are no chance; fewer also need known values."""
_MOST_VALUES = 50
"""A column with more values than this is not a label."""
_RARE = 0.25
"""In a file with a larger share of records over several lines, such cells are its habit."""
_ALIKE = 0.9
"""The share of the lines inside a cell that must look like rows."""
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Habits:
    """What is usual in a file.

    Attributes:
        spanning: Share of the records over several lines.
        values: Column with few values, such as a label → its values in records of one line.
    """

    spanning: float
    values: Mapping[int, frozenset[str]]


class QuotedTable:
    """The records of a table with quoted cells, in constant memory.

    Args:
        open_lines: Opens the file, with its line ends as they are. It is opened again, and its first records are read,
            when a cell looks as if it had swallowed rows.
        delimiter: Separator of cells.
    """

    def __init__(self, open_lines: Callable[[], TextIO], delimiter: str) -> None:
        self._open, self._delimiter = open_lines, delimiter
        self.columns: tuple[str, ...] = ()
        """The columns' names, once they are known; before, a cell may span anything."""

    def records(self) -> Iterator[tuple[int, Cells]]:
        """The number of the line in which each record starts, counted from 1, and its cells.

        For each row that a quote has swallowed there is an unreadable one, so that bad rows are counted as such.
        """
        # The limit applies to the process; some passages are longer than Python's default of 131,072 characters.
        csv.field_size_limit(max(csv.field_size_limit(), _FIELD_CHARACTERS))
        breaks: list[int] = []
        with self._open() as lines:
            reader = csv.reader(self._counted(lines, breaks), delimiter=self._delimiter, strict=True)
            while True:
                first = reader.line_num + 1
                breaks.clear()
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield from self._broken(first, breaks, str(error))
                else:
                    if len(breaks) > 1 and self._swallows(cells):
                        yield from self._swallowed(first, breaks, cells)
                    elif cells:
                        yield first, cells

    def _counted(self, lines: Iterable[str], breaks: list[int]) -> Iterator[str]:
        """The lines; the number of delimiters in each is noted."""
        delimiter, note = self._delimiter, breaks.append
        for line in lines:
            note(line.count(delimiter))
            yield line

    def _broken(self, first: int, breaks: Sequence[int], why: str) -> Iterator[tuple[int, Cells]]:
        """A record with a fault: one bad row, and one for each line before its last that looks like a row."""
        last, width = first + len(breaks) - 1, len(self.columns)
        lost = sum(count == width - 1 for count in breaks[:-1])
        detail = f"line {first}: {why}"
        if lost:
            detail = f"line {first}: a quote opens there, and the lines up to {last:,} are lost with it: {why}"
        yield first, UnreadableRow(BROKEN_QUOTING, detail)
        yield from self._inside(first, lost)

    def _swallowed(self, first: int, breaks: Sequence[int], cells: list[str]) -> Iterator[tuple[int, Cells]]:
        rows = sum(count == len(cells) - 1 for count in breaks)
        (column,) = (name for name, cell in zip(self.columns, cells, strict=True) if _spans(cell))
        yield (
            first,
            UnreadableRow(
                BROKEN_QUOTING,
                f'line {first}: a quote opens a cell of "{column}" that ends in line {first + len(breaks) - 1:,} only;'
                f" {rows:,} lines of it look like rows",
            ),
        )
        yield from self._inside(first, rows - 1)

    @staticmethod
    def _inside(first: int, rows: int) -> Iterator[tuple[int, Cells]]:
        for _ in range(rows):
            yield first, UnreadableRow(BROKEN_QUOTING, f"swallowed by the quote that opens in line {first}")

    def _swallows(self, cells: list[str]) -> bool:
        """Whether a cell over several lines holds rows: see the tests for cells that only look so.

        Each line of the record has as many cells as a row, its first and its last included; there are many of them, or
        their labels are those of other rows; and such cells are rare in the file. A cell that begins or ends with a
        line break was written so on purpose.
        """
        width = len(self.columns)
        spanning = [cell for cell in cells if _spans(cell)]
        if width < 2 or len(cells) != width or len(spanning) != 1:
            return False
        (cell,) = spanning
        if not _LINE_END.split(cell, maxsplit=1)[0].strip() or cell[-1] in "\r\n":
            return False
        lines = _LINE_END.split(self._delimiter.join(cells))
        rows = [line.split(self._delimiter) for line in lines if line.strip()]
        fit = [row for row in rows if len(row) == width]
        if len(fit) < _ALIKE * len(rows) or not len(rows[0]) == len(rows[-1]) == width or len(rows) < 2:
            return False
        usual = self._habits
        if usual.spanning > _RARE:
            return False
        known = [all(row[column] in values for column, values in usual.values.items()) for row in fit]
        if len(rows) < _MANY_LINES:
            return bool(usual.values) and all(known)
        # A file that is sorted by label has another one further down: few values will do.
        few = all(len({row[column] for row in fit}) <= len(fit) / 10 for column in usual.values)
        return sum(known) >= len(known) / 2 or few

    @cached_property
    def _habits(self) -> _Habits:
        width = len(self.columns)
        seen: dict[int, set[str]] = {column: set() for column in range(width)}
        records = spanning = 0
        with self._open() as lines:
            reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
            for spans, cells in islice(_measured(reader), _LOOKED_AT):
                records += 1
                spanning += spans
                if spans or len(cells) != width:
                    continue
                for column in list(seen):
                    seen[column].add(cells[column])
                    if len(seen[column]) > _MOST_VALUES:
                        del seen[column]
        values = {column: frozenset(found) for column, found in seen.items() if 2 * len(found) <= records - spanning}
        return _Habits(spanning=spanning / max(1, records), values=values)


def _measured(reader: Iterator[list[str]]) -> Iterator[tuple[bool, list[str]]]:
    """Whether each record spans several lines, and its cells; faulty ones are left out."""
    before = 0
    while True:
        with suppress(csv.Error):
            try:
                cells = next(reader)
            except StopIteration:
                return
            now: int = reader.line_num  # type: ignore[attr-defined] # csv's own reader
            if cells:
                yield now > before + 1, cells
        before = reader.line_num  # type: ignore[attr-defined]


def _spans(cell: str) -> bool:
    return "\n" in cell or "\r" in cell
