"""Raw rows → examples on disk, once; bad rows counted, and too many of them refused."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pyarrow as pa

from flantune.errors import BadRowsError, SourceError, TaskError, did_you_mean
from flantune.tasks.examples import adapt_row, place_of_row
from flantune.tasks.rows import (
    BROKEN_ENCODING,
    BROKEN_QUOTING,
    OUT_OF_RANGE,
    WRONG_COLUMNS,
    BadRow,
    BadRowNote,
    reason_lines,
)
from flantune.tasks.slices import SplitSlice, parse_slice, shared_rows
from flantune.tasks.slots import slots_of
from flantune.tasks.sources import MissingDataError
from flantune.tasks.store import (
    STORE_VERSION,
    ExampleStore,
    ExampleWriter,
    JoinedExamples,
    PreparedTask,
    SkippedWriter,
    SplitReport,
    read_skipped,
)
from flantune.tasks.user_code import fingerprint_of
from flantune.types import Example, SplitRole, Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_EXAMPLES, _SKIPPED, _SUMMARY = "examples.arrow", "skipped.arrow", "summary.json"
_LEFTOVER_AGE_S = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredSplit:
    """A source split on disk: the folder, and how many raw rows it covers."""

    folder: Path
    rows: int


def prepare_task(task: Task, *, cache: Path, max_bad_share: float = 0.01, skip_missing: bool = False) -> PreparedTask:
    """A task whose examples can be read by number, adapted now or found in the cache.

    Each source split is read once, even when several roles slice it. Rows stream: memory does not grow with them.

    Args:
        task: The task.
        cache: Folder for adapted examples; shared between runs if you like.
        max_bad_share: The largest share of bad rows in any role's slice.
        skip_missing: Leave out roles whose data is not there, and say so in ``missing``.

    Raises:
        BadRowsError: More rows are bad.
        MissingDataError: Data is not there (all of it, with ``skip_missing``).
        SourceError: Data cannot be read, nothing is left of it, or the cache cannot be written.
        TaskError: The splits overlap, or a template asks for a field that there is not.
    """
    survey = survey_task(task, cache=cache, skip_missing=skip_missing)
    for role, report in survey.reports.items():
        split = parse_slice(task.splits[role]).split
        _check_bad_share(task, split, report, max_bad_share)
        _check_not_empty(task, role, split, report)
    check_slots(task, next(iter(survey.stores.values()))[0])
    return survey


def survey_task(task: Task, *, cache: Path, skip_missing: bool = False) -> PreparedTask:
    """The same, with whatever is left of the rows: nothing is refused for being bad, so stores may be empty.

    Raises:
        MissingDataError: Data is not there (all of it, with ``skip_missing``).
        SourceError: Data cannot be read, or the cache cannot be written.
        TaskError: The splits overlap.
    """
    slices = {role: _parse(task, role, text) for role, text in task.splits.items()}
    stored, missing = _store_splits(task, slices, cache.absolute(), skip_missing=skip_missing)
    present = {role: part for role, part in slices.items() if part.split in stored}
    bounds = {role: part.bounds(stored[part.split].rows) for role, part in present.items()}
    _check_disjoint(task, present, bounds)
    views = {role: _view(task, role, stored[part.split], bounds[role]) for role, part in present.items()}
    return PreparedTask(
        task=task,
        stores={role: store for role, (store, _) in views.items()},
        reports={role: report for role, (_, report) in views.items()},
        missing=missing,
    )


def _parse(task: Task, role: SplitRole, text: str) -> SplitSlice:
    try:
        return parse_slice(text)
    except ValueError as error:
        raise TaskError(str(error), where=f"{_origin(task)}: splits.{role}") from None


def _origin(task: Task) -> str:
    return task.origin or f"task {task.name}"


def _store_splits(
    task: Task, slices: Mapping[SplitRole, SplitSlice], cache: Path, *, skip_missing: bool
) -> tuple[dict[str, _StoredSplit], dict[SplitRole, str]]:
    """The stored source splits, and the roles whose data is not there."""
    stored: dict[str, _StoredSplit] = {}
    missing: dict[SplitRole, str] = {}
    first = MissingDataError(f"task {task.name}: it has no splits")
    for split in dict.fromkeys(part.split for part in slices.values()):
        parts = {role: part for role, part in slices.items() if part.split == split}
        needed = [part.rows_needed for part in parts.values()]
        limit = None if None in needed else max(need or 0 for need in needed)
        try:
            stored[split] = _stored_split(task, split, limit, cache)
        except MissingDataError as error:
            named = MissingDataError(f"task {task.name}: {error.message}", where=error.where, hint=error.hint)
            if not skip_missing:
                raise named from error
            first = first if missing else named
            missing |= dict.fromkeys(parts, named.render())
    if not stored:
        # One line a task: a run that skips many lists them all. Most often all splits lack for one reason.
        raise first
    return stored, missing


def store_key(task: Task, split: str, limit: int | None) -> str:
    """The name of a stored split: SHA-256 over all that decides what is in it.

    Raises:
        SourceError: The source cannot be found or read.
    """
    adapter = task.adapter_fingerprint or fingerprint_of(task.adapter)
    parts = [STORE_VERSION, task.name, task.kind, split, limit, task.source.fingerprint(split), adapter]
    return sha256(json.dumps(parts).encode()).hexdigest()


def _stored_split(task: Task, split: str, limit: int | None, cache: Path) -> _StoredSplit:
    check_rows = getattr(task.source, "check_rows", None)
    if callable(check_rows):
        check_rows(split, limit)
    home = cache / re.sub(r"[^A-Za-z0-9_.+-]", "-", task.name)
    folder = home / f"{re.sub(r'[^A-Za-z0-9_.+-]', '-', split)}-{store_key(task, split, limit)}"
    summary = folder / _SUMMARY
    if not summary.is_file():
        _build(task, split, limit, folder)
    try:
        return _StoredSplit(folder=folder, rows=int(json.loads(summary.read_text(encoding="utf-8"))["rows"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"cannot be read: {error}", where=str(summary), hint="remove its folder and run again"
        ) from None


def _build(task: Task, split: str, limit: int | None, folder: Path) -> None:
    """Adapts a source split into a folder that appears whole or not at all."""
    temporary = folder.parent / f".writing-{uuid4().hex}"
    try:
        temporary.mkdir(parents=True)
        _remove_leftovers(folder.parent)
        rows = _adapt_all(task, split, limit, temporary)
        (temporary / _SUMMARY).write_text(json.dumps({"version": STORE_VERSION, "rows": rows}), encoding="utf-8")
        _rename(temporary, folder)
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(
            f"adapted examples cannot be written: {error}",
            where=str(folder.parent),
            hint="free some space, or set [data] cache to a folder that can be written",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _rename(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
    except OSError:
        if not (folder / _SUMMARY).is_file():  # else another process was faster, with the same rows
            raise


def _remove_leftovers(home: Path) -> None:
    """Removes what killed processes left half-written a day or more ago."""
    for folder in home.glob(".writing-*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _LEFTOVER_AGE_S:
                shutil.rmtree(folder, ignore_errors=True)


def _adapt_all(task: Task, split: str, limit: int | None, folder: Path) -> int:
    """Writes the examples and the skipped rows of a split; how many raw rows there were."""
    examples, skipped = ExampleWriter(folder / _EXAMPLES), SkippedWriter(folder / _SKIPPED)
    rows = 0
    try:
        for number, row in enumerate(islice(task.source.rows(split), limit)):
            rows = number + 1
            try:
                example = adapt_row(task, row)
                if example is None:
                    skipped.add(number)
                else:
                    examples.add(number, example)
            except BadRow as bad:
                skipped.add(number, bad.reason, bad.detail)
        examples.close()
        skipped.close()
    except BaseException:
        examples.abandon()
        skipped.abandon()
        raise
    return rows


def _view(
    task: Task, role: SplitRole, stored: _StoredSplit, bounds: tuple[tuple[int, int], ...]
) -> tuple[Sequence[Example], SplitReport]:
    """A role's part of a stored split, and what became of its rows."""
    views: list[ExampleStore] = []
    dropped, bad = 0, Counter[str]()
    notes: list[BadRowNote] = []
    for start, stop in bounds:
        skipped = read_skipped(stored.folder / _SKIPPED, start, stop)
        first = start - skipped.before
        kept = stop - start - skipped.dropped - sum(skipped.bad.values())
        views.append(ExampleStore(stored.folder / _EXAMPLES, first, first + kept))
        dropped += skipped.dropped
        bad.update(skipped.bad)
        notes += skipped.first_bad
    report = SplitReport(
        split=role,
        source=f"{task.source.describe(parse_slice(task.splits[role]).split)} ({task.splits[role]})",
        raw_rows=sum(stop - start for start, stop in bounds),
        kept=sum(map(len, views)),
        dropped=dropped,
        bad=dict(bad),
        first_bad=tuple(notes),
    )
    return (views[0] if len(views) == 1 else JoinedExamples(views)), report


def _check_disjoint(
    task: Task, slices: Mapping[SplitRole, SplitSlice], bounds: Mapping[SplitRole, tuple[tuple[int, int], ...]]
) -> None:
    roles = list(slices)
    for k, one in enumerate(roles):
        _check_joined(task, one, bounds[one])
        for other in roles[k + 1 :]:
            shared = shared_rows(bounds[one], bounds[other])
            if slices[one].split == slices[other].split and shared > 0:
                raise TaskError(
                    f'{one} = "{task.splits[one]}" and {other} = "{task.splits[other]}" share {shared:,} rows',
                    where=f"{_origin(task)}: splits",
                    hint='take them apart, as in train = "train[:-200]", dev = "train[-200:]"',
                )


def _check_joined(task: Task, role: SplitRole, bounds: tuple[tuple[int, int], ...]) -> None:
    """The ranges of a joined slice are in row order, so each may only begin where the one before has ended."""
    twice = sum(max(0, before[1] - after[0]) for before, after in pairwise(bounds))
    if twice:
        raise TaskError(
            f'{role} = "{task.splits[role]}" names {twice:,} rows twice',
            where=f"{_origin(task)}: splits",
            hint='take its parts apart, as in "train[:100] + train[100:]"',
        )


def _check_bad_share(task: Task, split: str, report: SplitReport, max_bad_share: float) -> None:
    bad = sum(report.bad.values())
    if bad <= max_bad_share * report.raw_rows:
        return
    first = min(report.first_bad, key=lambda note: note.row)
    raise BadRowsError(
        bad_rows_text(task.name, report, max_bad_share),
        where=place_of_row(task, split, first.row),
        hint=bad_rows_hint(first.reason),
    )


def bad_rows_text(name: str, report: SplitReport, max_bad_share: float) -> str:
    """How many rows are bad and where the first of each reason is, one line a reason."""
    bad = sum(report.bad.values())
    lines = [
        f"{bad:,} of {report.raw_rows:,} rows of task {name}, split {report.split}, are bad"
        f" ({bad / report.raw_rows:.1%}; at most {max_bad_share:.1%} may be)"
    ]
    return "\n  ".join([*lines, *reason_lines(report.bad, report.first_bad)])


def bad_rows_hint(reason: str) -> str:
    """What to do about rows that are bad for this reason."""
    hints = {
        WRONG_COLUMNS: 'set [source] delimiter, columns or quoting (quoting = "none" takes quote characters as text)',
        BROKEN_QUOTING: 'set [source] quoting = "none" if quote characters are part of the text',
        OUT_OF_RANGE: "if these rows have no label, leave them out: [answer] drop = [-1]; else mend them",
        BROKEN_ENCODING: 'set [source] encoding, such as "latin-1" or "utf-16"',
    }
    general = (
        "mend the rows, or the task file's columns; or leave such rows out on purpose; or raise [data] max_bad_share"
    )
    return hints.get(reason, general)


def _check_not_empty(task: Task, role: SplitRole, split: str, report: SplitReport) -> None:
    if report.kept:
        return
    dropped = f"; {report.dropped:,} were dropped on purpose" if report.dropped else ""
    what = f"task {task.name}: no example is left of its {report.raw_rows:,} rows{dropped}"
    if not report.first_bad:
        raise SourceError(what, where=report.source, hint=f"mend or remove splits.{role} in {_origin(task)}")
    first = min(report.first_bad, key=lambda note: note.row)
    raise SourceError(
        "\n  ".join([what, *reason_lines(report.bad, report.first_bad)]),
        where=place_of_row(task, split, first.row),
        hint=bad_rows_hint(first.reason),
    )


def check_slots(task: Task, example: Example) -> None:
    """Makes sure that an example has whatever the templates ask for.

    Raises:
        TaskError: A template asks for a field that it has not.
    """
    known = (*example.fields, "options", "answer")
    for template in task.templates:
        try:
            names = slots_of(template.inputs) + slots_of(template.targets)
        except ValueError as error:
            raise TaskError(str(error), where=f"{_origin(task)}: template {template.name}") from None
        for name in names:
            if name not in known:
                raise TaskError(
                    f'asks for "{name}", which the rows have not; they have: {", ".join(example.fields)}',
                    where=f"{_origin(task)}: template {template.name}",
                    hint=did_you_mean(name, known),
                )
