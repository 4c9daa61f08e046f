"""Raw rows → checked examples, without a store."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from flantune.errors import FlantuneError, MissingDataError, SourceError, TaskError
from flantune.tasks.rows import MISSING_COLUMN, BadRow, BadRowNote, TableRow, UnreadableRow, check_example, reason_lines
from flantune.tasks.sources.slices import parse_slice
from flantune.tasks.user_code import describe_exception
from flantune.types import Example, Row, Task

_MOST_BAD = 1_000
"""Number of bad rows after which the search for a good one ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLook:
    """The first rows of a task.

    Attributes:
        split: The source split that was read; empty if there is no data.
        rows: Rows that were read.
        examples: The examples made from the good ones.
        bad: The bad ones.
    """

    split: str = ""
    rows: int = 0
    examples: tuple[Example, ...] = ()
    bad: tuple[BadRowNote, ...] = ()


def first_examples(task: Task, *, count: int) -> tuple[Example, ...]:
    """The first examples of a task; none if its data is missing.

    Raises:
        SourceError: The data exists but cannot be read, or every row is bad.
    """
    look = first_look(task, count=count)
    if look.bad and not look.examples:
        counts = Counter(note.reason for note in look.bad)
        lines = [f"all of the first {look.rows:,} rows are bad", *reason_lines(counts, look.bad)]
        hint = "fix the rows, or the task file's columns; flantune tasks check reads every row"
        raise SourceError("\n  ".join(lines), where=task.source.describe(look.split, look.bad[0].row), hint=hint)
    return look.examples


def first_look(task: Task, *, count: int) -> FirstLook:
    """The same, with the bad rows before them, to distinguish bad rows from no rows.

    Raises:
        SourceError: The data exists but cannot be read.
    """
    for text in task.splits.values():
        try:
            return _look(task, parse_slice(text).source_split, count)
        except MissingDataError:
            continue
    return FirstLook()


def _look(task: Task, split: str, count: int) -> FirstLook:
    found: list[Example] = []
    bad: list[BadRowNote] = []
    number = -1
    for number, row in enumerate(task.source.rows(split) if count > 0 else ()):
        try:
            example = adapt_row(task, row)
        except BadRow as error:
            bad.append(BadRowNote(reason=error.reason, row=number, detail=error.detail))
        else:
            found += [] if example is None else [replace(example, row=number)]
        if len(found) == count or len(bad) == _MOST_BAD:
            break
    return FirstLook(split=split, rows=number + 1, examples=tuple(found), bad=tuple(bad))


def adapt_row(task: Task, row: Row) -> Example | None:
    """One row as a checked example; None if it is dropped on purpose.

    Raises:
        BadRow: The row cannot become an example.
    """
    if isinstance(row, UnreadableRow):
        raise BadRow(row.reason, row.detail)
    if not isinstance(row, TableRow):
        return _adapted(task, row)
    try:
        return _adapted(task, row)
    except BadRow as error:
        raise BadRow(error.reason, f"line {row.line}: {error.detail}") from error


def _adapted(task: Task, row: Row) -> Example | None:
    try:
        example = task.adapter(row)
    except (BadRow, FlantuneError):
        raise
    except Exception as error:
        # A user's function: an exception counts as a fault of this row until too many rows raise one.
        raise _as_bad_row(error, row) from error
    if example is None:
        return None
    if not isinstance(example, Example):
        raise TaskError(
            f"the adapter gave {type(example).__name__}; expected Example or None",
            where=task.origin or f"task {task.name}",
        )
    check_example(example, task.kind)
    return example


def _as_bad_row(error: Exception, row: Row) -> BadRow:
    if isinstance(error, KeyError) and error.args and error.args[0] not in row:
        return BadRow(MISSING_COLUMN, f"got columns {', '.join(map(str, row))}; {describe_exception(error)}")
    return BadRow(f"adapter raised {type(error).__name__}", describe_exception(error))
