"""Rows of tables in text files: a header or given names, and one row per record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from flantune.errors import SourceError
from flantune.tasks.rows import WRONG_COLUMNS, TableRow, UnreadableRow
from flantune.tasks.sources.quotes import Cells, QuotedTable
from flantune.types import Row


def read_table(
    open_lines: Callable[[], TextIO],
    path: Path,
    *,
    delimiter: str,
    is_quoted: bool,
    columns: tuple[str, ...],
    has_header: bool,
    written_line_breaks: bool,
) -> Iterator[Row]:
    r"""The rows of a table, each with the number of its line.

    Args:
        open_lines: Opens the file.
        path: The file, for messages.
        delimiter: Separator of cells.
        is_quoted: Whether quotes are CSV's; otherwise they are text, and a line is a row.
        columns: The columns' names; empty: those of the header.
        has_header: Whether the first record is a header.
        written_line_breaks: The two characters ``\n`` in a cell are a line break.

    Raises:
        SourceError: The columns have no names, or several have the same.
    """
    quoted = QuotedTable(open_lines, delimiter) if is_quoted else None
    records = quoted.records() if quoted else _plain_records(open_lines, delimiter)
    names = _column_names(records, path, columns, has_header=has_header)
    if quoted:
        quoted.columns = names
    for line, cells in records:
        if isinstance(cells, UnreadableRow):
            yield cells
        elif len(cells) != len(names):
            detail = f"line {line}: got {len(cells)}, expected {len(names)} ({', '.join(names)})"
            yield UnreadableRow(WRONG_COLUMNS, detail)
        else:
            shown = [cell.replace("\\n", "\n") for cell in cells] if written_line_breaks else cells
            row = TableRow(zip(names, shown, strict=True))
            row.line = line
            yield row


def without_end(line: str) -> str:
    """A line without its line break."""
    return line.removesuffix("\n").removesuffix("\r")


def _plain_records(open_lines: Callable[[], TextIO], delimiter: str) -> Iterator[tuple[int, Cells]]:
    with open_lines() as lines:
        for number, line in enumerate(lines, start=1):
            if text := without_end(line):
                yield number, text.split(delimiter)


def _column_names(
    records: Iterator[tuple[int, Cells]], path: Path, columns: tuple[str, ...], *, has_header: bool
) -> tuple[str, ...]:
    first = next(records, None) if has_header else None
    if has_header and first is None:
        raise SourceError("is empty: there is no header row", where=str(path), hint="get the file again")
    if first is not None and isinstance(first[1], UnreadableRow):
        raise SourceError("has no header row that can be read", where=str(path), hint="set [source] columns = [...]")
    names = columns or (tuple(first[1]) if first is not None else ())
    if not names:
        raise SourceError("has no header and no names", where=str(path), hint="set [source] columns = [...]")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError(
            f'the header names "{twice[0]}" more than once',
            where=str(path),
            hint="set [source] columns and header = true",
        )
    return names
