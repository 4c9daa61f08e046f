"""Checks a task's rows before they are used, and says what is wrong with them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from flantune.errors import BadRowsError, SourceError, TaskError, TemplateError, did_you_mean
from flantune.prompts.compiled import compile_side
from flantune.tasks.rows import (
    AMBIGUOUS,
    BROKEN_ENCODING,
    BROKEN_QUOTING,
    EMPTY_TARGET,
    MISSING_VALUE,
    NOT_AN_OBJECT,
    NOT_AN_OPTION,
    NOT_JSON,
    OUT_OF_RANGE,
    WRONG_COLUMNS,
    reason_lines,
)
from flantune.tasks.sources.slices import shared_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flantune.tasks.example_store import SkippedRows, SplitReport
    from flantune.tasks.sources.slices import SplitSlice
    from flantune.types import Example, SplitRole, Task


_SAYING_WHICH = (
    '[answer] read = "text" or read = "index" (from 0); keys = [...], the values in the order of the options; or'
    ' map = { "true" = "...", "false" = "..." }'
)


def origin_of(task: Task) -> str:
    """The file that a task comes from, for messages."""
    return task.origin or f"task {task.name}"


def check_disjoint(
    task: Task, slices: Mapping[SplitRole, SplitSlice], bounds: Mapping[SplitRole, tuple[tuple[int, int], ...]]
) -> None:
    """Refuses splits that share rows.

    Raises:
        TaskError: Two roles share rows, or one has some rows twice.
    """
    roles = list(slices)
    for k, one in enumerate(roles):
        _check_joined(task, one, bounds[one])
        for other in roles[k + 1 :]:
            shared = shared_rows(bounds[one], bounds[other])
            if slices[one].source_split == slices[other].source_split and shared > 0:
                raise TaskError(
                    f'{one} = "{task.splits[one]}" and {other} = "{task.splits[other]}" share {shared:,} rows',
                    where=f"{origin_of(task)}: splits",
                    hint='take them apart, as in train = "train[:-200]", dev = "train[-200:]"',
                )


def _check_joined(task: Task, role: SplitRole, bounds: tuple[tuple[int, int], ...]) -> None:
    """The ranges of a joined slice are in row order, so each may only begin after the previous one has ended."""
    twice = sum(max(0, before[1] - after[0]) for before, after in pairwise(bounds))
    if twice:
        raise TaskError(
            f'{role} = "{task.splits[role]}" names {twice:,} rows twice',
            where=f"{origin_of(task)}: splits",
            hint='take its parts apart, as in "train[:100] + train[100:]"',
        )


def check_takes_rows(
    task: Task, role: SplitRole, taken: SplitSlice, bounds: tuple[tuple[int, int], ...], rows: int, skipped: SkippedRows
) -> None:
    """Refuses a slice without rows, since the data is shorter than the task file assumes.

    If there are bad rows, they are the reason: a file that is read in the wrong way has too few good rows.

    Raises:
        SourceError: Says how many rows there are.
    """
    if any(stop > start for start, stop in bounds):
        return
    has = f"has only {rows:,} row{'s' * (rows != 1)}" if rows else "has no rows"
    what = f'task {task.name}: {role} = "{task.splits[role]}" takes no row: the split {has}'
    if skipped.bad:
        first = min(skipped.first_bad, key=lambda note: note.row)
        text = "\n  ".join([f"{what}, and of these are bad:", *reason_lines(skipped.bad, skipped.first_bad)])
        raise SourceError(
            text, where=task.source.describe(taken.source_split, first.row), hint=bad_rows_hint(first.reason)
        )
    raise SourceError(
        what,
        where=f"{task.source.describe(taken.source_split)} ({task.splits[role]})",
        hint=f"get the whole of the data; or write a slice of the rows there are as splits.{role} in {origin_of(task)},"
        " or remove it",
    )


def check_bad_share(task: Task, source_split: str, report: SplitReport, max_bad_share: float) -> None:
    """Refuses a role with too many bad rows.

    Raises:
        BadRowsError: Says how many, where the first one with each reason is, and what to do.
    """
    bad = sum(report.bad.values())
    if bad <= max_bad_share * report.raw_rows:
        return
    first = min(report.first_bad, key=lambda note: note.row)
    text = bad_rows_text(task.name, report, max_bad_share)
    raise BadRowsError(text, where=task.source.describe(source_split, first.row), hint=bad_rows_hint(first.reason))


def check_unambiguous(task: Task, source_split: str, report: SplitReport) -> None:
    """Refuses ambiguous answers, however few: if one row is ambiguous, others may have been misread."""
    if AMBIGUOUS not in report.bad:
        return
    note = next(note for note in report.first_bad if note.reason == AMBIGUOUS)
    rows = f"{report.bad[AMBIGUOUS]:,} of {report.raw_rows:,} rows of split {report.split}"
    raise BadRowsError(
        f"task {task.name}: {rows} have an answer with two readings; row {note.row} (counted from 0): {note.detail}",
        where=task.source.describe(source_split, note.row),
        hint=f"say in {origin_of(task)} what the values are: {_SAYING_WHICH}",
    )


def bad_rows_text(name: str, report: SplitReport, max_bad_share: float) -> str:
    """How many rows are bad, and where the first one with each reason is, one line per reason."""
    bad = sum(report.bad.values())
    lines = [
        f"{bad:,} of {report.raw_rows:,} rows of task {name}, split {report.split}, are bad"
        f" ({bad / report.raw_rows:.1%}; at most {max_bad_share:.1%} may be)"
    ]
    return "\n  ".join([*lines, *reason_lines(report.bad, report.first_bad)])


_JSON_LINES = (
    'fix these lines: each should be one JSON object; where the whole file is one list, set [source] format = "json";'
    " or raise [data] max_bad_share"
)
_NO_ANSWER = (
    "fix the rows, or the task file's columns; if these rows have no answer, leave them out:"
    ' [answer] drop = ["", "null"], the empty text and null; or raise [data] max_bad_share'
)


def bad_rows_hint(reason: str) -> str:
    """What to do about rows with this fault."""
    hints = {
        WRONG_COLUMNS: 'set [source] delimiter, columns or quoting (quoting = "none" takes quote characters as text)',
        BROKEN_QUOTING: "take that quote out, or close it in its cell (a quote inside a quoted cell is doubled); or set"
        ' [source] quoting = "none" if quote characters are part of the text',
        **dict.fromkeys((NOT_JSON, NOT_AN_OBJECT), _JSON_LINES),
        **dict.fromkeys((MISSING_VALUE, NOT_AN_OPTION, EMPTY_TARGET), _NO_ANSWER),
        OUT_OF_RANGE: "if these rows have no label, leave them out: [answer] drop = [-1]; if values count from 1, list"
        ' them in the order of the options: [answer] keys = ["1", "2", ...]; else fix them',
        AMBIGUOUS: f"say what the values are: {_SAYING_WHICH}",
        BROKEN_ENCODING: 'set [source] encoding, such as "latin-1" or "utf-16"',
    }
    return hints.get(reason, "fix the rows, or the task file's columns; or raise [data] max_bad_share")


def check_not_empty(task: Task, role: SplitRole, source_split: str, report: SplitReport) -> None:
    """Refuses a role without examples.

    Raises:
        SourceError: Says why no rows are left.
    """
    if report.kept:
        return
    dropped = f"; {report.dropped:,} were dropped on purpose" if report.dropped else ""
    what = f"task {task.name}: no example is left of its {report.raw_rows:,} rows{dropped}"
    if not report.first_bad:
        raise SourceError(what, where=report.source, hint=f"fix or remove splits.{role} in {origin_of(task)}")
    first = min(report.first_bad, key=lambda note: note.row)
    raise SourceError(
        "\n  ".join([what, *reason_lines(report.bad, report.first_bad)]),
        where=task.source.describe(source_split, first.row),
        hint=bad_rows_hint(first.reason),
    )


def check_slots(task: Task, example: Example) -> None:
    """Makes sure that an example has every field that the templates use.

    Raises:
        TaskError: A template uses a field that it lacks.
    """
    known = (*example.fields, "options", "answer")
    for template in task.templates:
        try:
            names = (*compile_side(template, "inputs").slots, *compile_side(template, "targets").slots)
        except TemplateError as error:
            where = f"{origin_of(task)}: template {template.name}"
            raise TaskError(error.message, where=where, hint=error.hint) from None
        for name in names:
            if name not in known:
                raise TaskError(
                    f'asks for "{name}", which the rows do not have; they have: {", ".join(example.fields)}',
                    where=f"{origin_of(task)}: template {template.name}",
                    hint=did_you_mean(name, known),
                )
