"""Raw rows → examples on disk, once; bad rows counted, and too many of them refused."""

from __future__ import annotations

import json
import re
import shutil
import time
import warnings
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pyarrow as pa

from flantune.errors import BadRowsError, FlantuneError, MissingDataError, SourceError, TaskError
from flantune.settings.json_file import read_value, write_value
from flantune.tasks.arrow_files import ArrowFile, sums_path
from flantune.tasks.example_store import (
    STORE_VERSION,
    ExampleStore,
    ExampleWriter,
    JoinedExamples,
    PreparedTask,
    SkippedWriter,
    SplitReport,
    read_skipped,
)
from flantune.tasks.examples import adapt_row
from flantune.tasks.row_checks import (
    check_bad_share,
    check_disjoint,
    check_not_empty,
    check_slots,
    check_takes_rows,
    check_unambiguous,
    origin_of,
)
from flantune.tasks.rows import (
    BadRow,
    BadRowNote,
)
from flantune.tasks.sources.slices import SplitSlice, parse_slice
from flantune.tasks.user_code import fingerprint_of
from flantune.types import Example, SplitRole, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_EXAMPLES, _SKIPPED, _SUMMARY = "examples.arrow", "skipped.arrow", "summary.json"
_LEFTOVER_AGE_S = 24 * 3600
# Stores up to this size are checked completely each time; in larger ones, each block is checked on first reading.
_CHECKED_WHOLE_BYTES = 2**26
_UNCHECKED = "never finished"
_TOLD_ROWS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredSplit:
    """A source split on disk: the folder, and how many raw rows it covers."""

    folder: Path
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Summary:
    """What is known about a complete source split on disk."""

    version: int
    rows: int


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=2)


def prepare_task(
    task: Task,
    *,
    cache: Path,
    max_bad_share: float = 0.01,
    skip_missing: bool = False,
    note: Callable[[str], None] = _warn,
    on_rows: Callable[[int], None] | None = None,
) -> PreparedTask:
    """A task with its examples, adapted now or taken from the cache.

    Each source split is read once, even if several roles slice it. Rows are streamed: memory does not grow with them.

    Args:
        task: The task.
        cache: Folder for adapted examples; runs can share it.
        max_bad_share: The largest share of bad rows in any role's slice.
        skip_missing: Skip roles whose data is missing, and record them in ``missing``.
        note: Called if the cache is damaged and made again. By default a Python warning.
        on_rows: Called now and then with the number of adapted rows of a source split.

    Raises:
        BadRowsError: More rows are bad.
        MissingDataError: Data is missing (all of it, with ``skip_missing``).
        SourceError: Data cannot be read, nothing is left of it, or the cache cannot be written.
        TaskError: The splits overlap, or a template uses a field that does not exist.
    """
    survey = survey_task(task, cache=cache, skip_missing=skip_missing, note=note, on_rows=on_rows)
    faults = row_faults(survey, max_bad_share=max_bad_share)
    if len(faults) > 1:
        raise BadRowsError("\n".join(fault.render() for fault in faults))
    if faults:
        raise faults[0]
    return survey


def row_faults(survey: PreparedTask, *, max_bad_share: float) -> list[FlantuneError]:
    """Why a task's rows cannot be used: at most one error for each role, or one for its templates' slots."""
    faults: list[FlantuneError] = []
    for role, report in survey.reports.items():
        try:
            source_split = parse_slice(survey.task.splits[role]).source_split
            check_unambiguous(survey.task, source_split, report)
            check_bad_share(survey.task, source_split, report, max_bad_share)
            check_not_empty(survey.task, role, source_split, report)
        except FlantuneError as error:
            faults.append(error)
    if not faults:
        try:
            check_slots(survey.task, next(iter(survey.stores.values()))[0])
        except FlantuneError as error:
            faults.append(error)
    return faults


def survey_task(
    task: Task,
    *,
    cache: Path,
    skip_missing: bool = False,
    note: Callable[[str], None] = _warn,
    on_rows: Callable[[int], None] | None = None,
) -> PreparedTask:
    """The same with all good rows: bad ones raise no error, so stores may be empty.

    Raises:
        MissingDataError: Data is missing (all of it, with ``skip_missing``).
        SourceError: Data cannot be read, or the cache cannot be written.
        TaskError: The splits overlap.
    """
    slices = {role: _parse(task, role, text) for role, text in task.splits.items()}
    stored, missing = _store_splits(
        task, slices, cache.absolute(), skip_missing=skip_missing, note=note, on_rows=on_rows
    )
    present = {role: taken for role, taken in slices.items() if taken.source_split in stored}
    bounds = {role: taken.bounds(stored[taken.source_split].rows) for role, taken in present.items()}
    check_disjoint(task, present, bounds)
    for role, taken in present.items():
        whole = stored[taken.source_split]
        skipped = read_skipped(whole.folder / _SKIPPED, 0, whole.rows)
        check_takes_rows(task, role, taken, bounds[role], whole.rows, skipped)
    views = {role: _view(task, role, stored[taken.source_split], bounds[role]) for role, taken in present.items()}
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
        raise TaskError(str(error), where=f"{origin_of(task)}: splits.{role}") from None


def _store_splits(
    task: Task,
    slices: Mapping[SplitRole, SplitSlice],
    cache: Path,
    *,
    skip_missing: bool,
    note: Callable[[str], None],
    on_rows: Callable[[int], None] | None,
) -> tuple[dict[str, _StoredSplit], dict[SplitRole, str]]:
    """The stored source splits, and the roles whose data is missing."""
    stored: dict[str, _StoredSplit] = {}
    missing: dict[SplitRole, str] = {}
    first = MissingDataError(f"task {task.name}: it has no splits")
    for source_split in dict.fromkeys(taken.source_split for taken in slices.values()):
        roles = [role for role, taken in slices.items() if taken.source_split == source_split]
        needed = [slices[role].rows_needed for role in roles]
        limit = None if None in needed else max(need or 0 for need in needed)
        try:
            stored[source_split] = _stored_split(task, source_split, limit, cache, note=note, on_rows=on_rows)
        except MissingDataError as error:
            named = MissingDataError(f"task {task.name}: {error.message}", where=error.where, hint=error.hint)
            if not skip_missing:
                raise named from error
            first = first if missing else named
            missing |= dict.fromkeys(roles, named.render())
    if not stored:
        # One line per task: a run that skips many lists them all. Usually all splits are missing for the same reason.
        raise first
    return stored, missing


def store_key(task: Task, source_split: str, limit: int | None) -> str:
    """The name of a stored split: SHA-256 over everything that determines its content.

    Raises:
        SourceError: The source cannot be found or read.
    """
    adapter = task.adapter_fingerprint or fingerprint_of(task.adapter)
    parts = [
        STORE_VERSION,
        task.stored_as or task.name,
        task.kind,
        source_split,
        limit,
        task.source.fingerprint(source_split),
        adapter,
    ]
    return sha256(json.dumps(parts).encode()).hexdigest()


def _stored_split(
    task: Task,
    source_split: str,
    limit: int | None,
    cache: Path,
    *,
    note: Callable[[str], None],
    on_rows: Callable[[int], None] | None,
) -> _StoredSplit:
    task.source.check_rows(source_split, limit)
    folder = (
        cache / _plain(task.stored_as or task.name) / f"{_plain(source_split)}-{store_key(task, source_split, limit)}"
    )
    if (damage := _damage(folder)) and folder.exists():
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
        else:
            folder.unlink(missing_ok=True)
        if damage != _UNCHECKED:
            note(f"adapted examples of task {task.name} were damaged, so its rows are adapted again ({damage})")
    if not folder.exists():
        _build(task, source_split, limit, folder, on_rows)
    return _StoredSplit(folder=folder, rows=_stored_rows(folder))


def _plain(name: str) -> str:
    """A name that is valid for a folder."""
    return re.sub(r"[^A-Za-z0-9_.+-]", "-", name)


def _damage(folder: Path) -> str:
    """What is wrong with a stored split; empty if it can be read. In large ones the rows are checked later."""
    if not (folder / _SUMMARY).exists():
        return _UNCHECKED
    if not sums_path(folder / _EXAMPLES).exists():  # from a version that wrote none
        return _UNCHECKED
    try:
        rows = _stored_rows(folder)
        files = [ArrowFile(folder / name) for name in (_EXAMPLES, _SKIPPED)]
        if sum(file.rows for file in files) != rows:
            return f"{folder / _SUMMARY} has another number of rows"
        if sum((folder / name).stat().st_size for name in (_EXAMPLES, _SKIPPED)) <= _CHECKED_WHOLE_BYTES:
            for file in files:
                file.check()
    except (FlantuneError, OSError) as error:
        return str(error).partition("\n")[0]
    return ""


def _stored_rows(folder: Path) -> int:
    return read_value(folder / _SUMMARY, _Summary, mends="remove its folder and run again").rows


def _build(
    task: Task, source_split: str, limit: int | None, folder: Path, on_rows: Callable[[int], None] | None
) -> None:
    """Adapts a source split into a folder that appears completely or not at all."""
    temporary = folder.parent / f".writing-{uuid4().hex}"
    try:
        temporary.mkdir(parents=True)
        _remove_leftovers(folder.parent)
        rows = _adapt_all(task, source_split, limit, temporary, on_rows)
        write_value(temporary / _SUMMARY, _Summary(version=STORE_VERSION, rows=rows))
        _rename(temporary, folder)
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(
            f"adapted examples cannot be written: {getattr(error, 'strerror', None) or error}",
            where=str(folder.parent),
            hint="free some space, or set [data] cache to a folder that can be written",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _rename(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
    except OSError:
        if not (folder / _SUMMARY).is_file():  # otherwise another process was faster, with the same rows
            raise


def _remove_leftovers(home: Path) -> None:
    """Removes incomplete folders that killed processes left a day or more ago."""
    for folder in home.glob(".writing-*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _LEFTOVER_AGE_S:
                shutil.rmtree(folder, ignore_errors=True)


def _adapt_all(
    task: Task, source_split: str, limit: int | None, folder: Path, on_rows: Callable[[int], None] | None
) -> int:
    """Writes the examples and the skipped rows of a split; returns the number of raw rows."""
    examples, skipped = ExampleWriter(folder / _EXAMPLES), SkippedWriter(folder / _SKIPPED)
    rows = 0
    try:
        for number, row in enumerate(islice(task.source.rows(source_split), limit)):
            rows = number + 1
            if on_rows is not None and not rows % _TOLD_ROWS:
                on_rows(rows)
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
    """A role's part of a stored split, and what happened to its rows."""
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
        source=f"{task.source.describe(parse_slice(task.splits[role]).source_split)} ({task.splits[role]})",
        raw_rows=sum(stop - start for start, stop in bounds),
        kept=sum(map(len, views)),
        dropped=dropped,
        bad=dict(bad),
        first_bad=tuple(notes),
    )
    return (views[0] if len(views) == 1 else JoinedExamples(views)), report
