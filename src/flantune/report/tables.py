"""A table as a value: shown texts, sort keys and copied values; pages and terminals show the same tables."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flantune.evaluation.estimates import Difference, Direction, Estimate
from flantune.report.numbers import MISSING, count, interval, limit, p_value, points, share, signed, span


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        text: The shown text.
        sort: Value for sorting and for copying as CSV; an unrounded number, or the text itself.
        tone: A style: "better", "worse", "undecided", "muted", or none.
    """

    text: str
    sort: float | str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, a longer explanation, and whether it has numbers.

    Attributes:
        brief: Its heading in a terminal, which has room for few columns; empty: not shown there.
    """

    heading: str
    is_number: bool = True
    help: str = ""
    brief: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A complete table.

    Attributes:
        name: Its anchor in the page.
        strong: Rows that summarize others.
        title: Its title in a terminal.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    strong: frozenset[int] = frozenset()
    title: str = ""


EMPTY = Cell(MISSING, "")


def words(heading: str, *, help: str = "", brief: str = "") -> Column:  # noqa: A002 - as the column has it
    """A column of text."""
    return Column(heading, is_number=False, help=help, brief=brief)


def word(value: str, tone: str = "") -> Cell:
    """A cell of text."""
    return Cell(value or MISSING, value, tone)


def score(value: float | None, tone: str = "") -> Cell:
    """A cell with a score in points."""
    return Cell(points(value), "" if value is None else value * 100, tone)


def estimated(found: Estimate | None, tone: str = "") -> Cell:
    """A cell with the score of an estimate."""
    return score(found.value if found else None, tone)


def ends(low: float | None, high: float | None) -> Cell:
    """The interval of a score."""
    return Cell(span(low, high), "" if low is None else low * 100, "muted")


def interval_of(found: Estimate | None) -> Cell:
    """The interval of an estimate."""
    return ends(found.low, found.high) if found else Cell(MISSING, "", "muted")


def number(value: float | None) -> Cell:
    """A cell with a count."""
    return Cell(count(value), "" if value is None else value)


def share_of(value: float | None) -> Cell:
    """A cell with a share, as a percentage."""
    return Cell(share(value), "" if value is None else value * 100)


def change(difference: Difference | None, direction: Direction | None = None) -> tuple[Cell, Cell]:
    """A difference and its interval, colored by direction: the interval's, unless given."""
    if difference is None:
        return EMPTY, Cell(MISSING, "", "muted")
    low = Cell(interval(difference.low, difference.high), difference.low * 100, "muted")
    return Cell(signed(difference.value), difference.value * 100, direction or difference.direction), low


def chance_of(value: float | None) -> Cell:
    """A p-value or a false discovery rate."""
    return Cell(p_value(value), "" if value is None else value)


def detectable(difference: Difference | None) -> Cell:
    """The smallest difference that a comparison could detect."""
    return Cell(limit(difference.detectable), difference.detectable * 100) if difference else EMPTY


def trimmed(table: Table, *headings: str) -> Table:
    """The table without empty columns, and without those of the named columns that have the same value in every row.

    The caption then states that value once.

    >>> rows = ((word("rte"), word("zero-shot"), EMPTY), (word("cb"), word("zero-shot"), EMPTY))
    >>> columns = (words("Task"), words("Exemplars"), Column("q"))
    >>> slim = trimmed(Table(name="t", caption="Tasks.", columns=columns, rows=rows), "Exemplars")
    >>> slim.caption, len(slim.columns), slim.rows[0][0].text
    ('Tasks. All zero-shot.', 1, 'rte')
    """
    dull = {
        k: table.rows[0][k].text
        for k, column in enumerate(table.columns)
        if table.rows and column.heading in headings and len({row[k].text for row in table.rows}) == 1
    }
    said = [value for value in dull.values() if value.endswith("-shot")]
    kept = [
        k
        for k in range(len(table.columns))
        if k not in dull and (k == 0 or any(row[k].sort != "" for row in table.rows) or not table.rows)
    ]
    return replace(
        table,
        caption=table.caption + "".join(f" All {value}." for value in said),
        title=", ".join([table.title, *said]) if table.title else "",
        columns=tuple(table.columns[k] for k in kept),
        rows=tuple(tuple(row[k] for k in kept) for row in table.rows),
    )
