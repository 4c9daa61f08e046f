"""Tables on terminals that are too narrow: one line per cell instead of one letter per line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Column, Table

_NARROWEST = 16
"""Names may be wrapped to this many characters per line, and no fewer."""


class FittedTable:
    """A table, or its stacked form if the terminal is too narrow."""

    def __init__(self, table: RenderableType) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.console import Group
        from rich.table import Table

        if isinstance(self._table, Group):
            yield from map(FittedTable, self._table.renderables)
        elif isinstance(self._table, Table) and _needed(self._table, console) > options.max_width:
            yield from _stacked(self._table)
        else:
            yield self._table


def _needed(table: Table, console: Console) -> int:
    """Width in columns that the table needs with its names wrapped as far as allowed."""
    widths = []
    for column in table.columns:
        widest = max((console.measure(cell).maximum for cell in (column.header, *column.cells)), default=0)
        widths.append(widest if column.no_wrap else min(widest, max(_NARROWEST, column.min_width or 0)))
    gaps = sum(table.padding[1::2]) * max(len(widths) - 1, 0)
    return sum(widths) + gaps


def _stacked(table: Table) -> Iterator[RenderableType]:
    """The title, then each row: its first cell, and below it the others with their headings."""
    from rich.text import Text

    if table.title:
        yield Text.assemble(table.title) if isinstance(table.title, str | Text) else table.title
    for cells in zip(*(list(column.cells) for column in table.columns), strict=True):
        for at, (column, cell) in enumerate(zip(table.columns, cells, strict=True)):
            text = cell if isinstance(cell, Text) else Text(str(cell))
            if text.plain.strip():
                yield Text.assemble("  " if at else "", _heading(column), text)


def _heading(column: Column) -> str:
    heading = str(column.header).strip()
    return f"{heading} " if heading else ""
