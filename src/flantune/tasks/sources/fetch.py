"""Hub datasets laid down as a folder that mirrors the hub, for machines without a network."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from flantune.errors import FlantuneError, SourceError
from flantune.system.files import write_json
from flantune.tasks.sources import hub
from flantune.tasks.sources.raw import (
    RECORD_NAME,
    HubSource,
    hub_reference,
    matches_revision,
    mirrored_splits,
    read_record,
    split_record,
)
from flantune.tasks.sources.slices import parse_slice
from flantune.types import Task

_REFERENCE = re.compile(r"(?P<id>[\w.-]+(?:/[\w.-]+)?)(?::(?P<config>[^@\s]+))?(?:@(?P<revision>\S+))?")
_BATCH_ROWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """One split in the mirror.

    Attributes:
        id: The dataset on the hub.
        config: Its configuration; None: the default one.
        split: The source split.
        path: The file.
        rows: Rows in it; None when the file is not flantune's.
        revision: The commit it was taken from, when the hub tells.
        was_there: It had been fetched before, and was left as it is.
    """

    id: str
    config: str | None
    split: str
    path: Path
    rows: int | None
    revision: str | None
    was_there: bool

    def __str__(self) -> str:
        rows = "" if self.rows is None else f"{self.rows:,} rows, "
        state = "was there" if self.was_there else "fetched"
        return f"{self.id} {self.config or 'default'} {self.split}: {rows}{state}"


def fetch_to_mirror(
    wanted: Iterable[Task | str],
    mirror: Path,
    *,
    max_rows: int = 0,
    progress: Callable[[str], None] | None = None,
) -> tuple[Fetched, ...]:
    """Lays hub datasets down as ``<mirror>/<org>/<name>/<config>/<split>.parquet``.

    Splits that are there already at the wanted revision stay as they are. Of a split of which a task reads the first
    rows only, no more are taken. A failure does not stop the others; all failures are raised together at the end.

    Args:
        wanted: Tasks (those on files, and those that ``by_hand`` lists, are passed over), or hub datasets as
            ``<org>/<name>[:<config>][@<revision>]``, of which all splits are taken.
        mirror: The folder to fill.
        max_rows: Rows to take of each split, from its beginning; 0: all.
        progress: Called with a line of text for each split.

    Raises:
        SourceError: A dataset cannot be had or written.
    """
    fetched: list[Fetched] = []
    failures: list[FlantuneError] = []
    for source, splits in _gathered(wanted).items():
        try:
            names = splits or dict.fromkeys(hub.split_names(source.id, source.config, revision=source.revision), 0)
            for split, needed in names.items():
                fetched.append(_fetch_split(source, split, mirror, _smaller(max_rows, needed)))
                if progress is not None:
                    progress(str(fetched[-1]))
        except FlantuneError as error:
            failures.append(error)
    if failures:
        raise SourceError(
            "\n".join(error.render() for error in failures),
            where="" if len(failures) == 1 else f"{len(failures)} datasets cannot be fetched",
        )
    return tuple(fetched)


def parse_reference(text: str) -> HubSource:
    """A hub dataset from one word.

    >>> parse_reference("aps/super_glue:rte").config
    'rte'

    Raises:
        SourceError: It is not written like one.
    """
    match = _REFERENCE.fullmatch(text.strip())
    if match is None:
        raise SourceError(
            f'"{text}" is no hub dataset', hint="write <org>/<name>, and :<config> and @<revision> if needed"
        )
    return HubSource(id=match["id"], config=match["config"], revision=match["revision"])


def by_hand(tasks: Iterable[Task], mirror: Path) -> dict[str, str]:
    """Task → how to get its data, for tasks whose data nobody can fetch and whose folder is not in the mirror."""
    found = {}
    for task in tasks:
        source = task.source
        if isinstance(source, HubSource) and source.manual:
            there = mirrored_splits(mirror / source.id / (source.config or "default"))
            if not all(parse_slice(text).split in there for text in task.splits.values()):
                found[task.name] = source.manual
    return found


def _smaller(one: int, other: int) -> int:
    """The smaller of two limits, 0 being none.

    >>> _smaller(0, 30), _smaller(20, 30), _smaller(0, 0)
    (30, 20, 0)
    """
    return min(one, other) if one and other else one or other


def _larger(one: int, other: int) -> int:
    """The larger of two limits, 0 being none.

    >>> _larger(0, 30), _larger(20, 30), _larger(1, 0)
    (0, 30, 0)
    """
    return max(one, other) if one and other else 0


def _gathered(wanted: Iterable[Task | str]) -> dict[HubSource, dict[str, int]]:
    """Dataset → the splits that are used of it and how many rows from the front, 0 for all; empty means all splits."""
    splits: dict[HubSource, dict[str, int]] = {}
    whole: set[HubSource] = set()
    for one in wanted:
        if isinstance(one, str):
            source = parse_reference(one)
            splits.setdefault(source, {})
            whole.add(source)
        elif isinstance(one.source, HubSource) and not one.source.manual:
            source = HubSource(id=one.source.id, config=one.source.config, revision=one.source.revision)
            used = splits.setdefault(source, {})
            for part in map(parse_slice, one.splits.values()):
                used[part.split] = _larger(used.get(part.split, 1), part.rows_needed or 0)
    return {source: {} if source in whole else names for source, names in splits.items()}


def _fetch_split(source: HubSource, split: str, mirror: Path, max_rows: int) -> Fetched:
    folder = mirror / source.id / (source.config or "default")
    there = mirrored_splits(folder).get(split)
    note = split_record(folder, split)
    if there and _is_wanted(note, source.revision, max_rows):
        return _fetched(source, split, there[0], note, was_there=True)
    commit = hub.resolve_revision(source.id, source.revision)
    dataset = hub.load_hub_split(
        source.id, source.config, split=split, revision=_loaded_revision(source, commit), streaming=max_rows > 0
    )
    path = folder / f"{split}.parquet"
    note = {"rows": 0, "is_whole": True, "revision": source.revision, "commit": commit}

    def write_note(rows: int) -> None:
        note.update(rows=rows, is_whole=max_rows == 0 or rows < max_rows)
        _write_note(folder, source, split, note)

    rows = dataset.take(max_rows) if max_rows else dataset
    _write_parquet(rows, path, hub_reference(source), before_it_is_there=write_note)
    return _fetched(source, split, path, note, was_there=False)


def _loaded_revision(source: HubSource, commit: str | None) -> str | None:
    """The commit, so that all splits are of one; the converted branch is read by its name, which says how."""
    return source.revision if source.revision == hub.CONVERTED else commit or source.revision


def _is_wanted(note: dict[str, Any], revision: str | None, max_rows: int) -> bool:
    """Whether a split that is there will do; one that was not fetched by flantune is the user's own and will."""
    has_enough = not note or note["is_whole"] or 0 < max_rows <= note["rows"]
    return has_enough and matches_revision(note, revision)


def _fetched(source: HubSource, split: str, path: Path, note: dict[str, Any], *, was_there: bool) -> Fetched:
    return Fetched(
        id=source.id,
        config=source.config,
        split=split,
        path=path,
        rows=note.get("rows"),
        revision=note.get("commit") or note.get("revision"),
        was_there=was_there,
    )


def _write_parquet(dataset: Any, path: Path, reference: str, *, before_it_is_there: Callable[[int], None]) -> None:
    """Writes a split's rows as its own Arrow types say, and calls back with their number before the file is there.

    A file without a note is taken for the user's own and whole, so none may be left by a process that is killed.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    temporary = path.parent / f".{path.name}.{uuid4().hex}"
    rows, writer = 0, None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for table in _tables(dataset, reference):
            writer = writer or pq.ParquetWriter(temporary, table.schema)
            writer.write_table(table.cast(writer.schema))
            rows += table.num_rows
        if writer is None:
            raise SourceError("the split has no rows", where=reference)
        writer.close()
        path.unlink(missing_ok=True)
        before_it_is_there(rows)
        temporary.replace(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(f"cannot be written: {error}", where=str(path), hint="free some space") from error
    finally:
        temporary.unlink(missing_ok=True)


def _tables(dataset: Any, reference: str) -> Iterator[Any]:
    try:
        yield from dataset.with_format("arrow").iter(batch_size=_BATCH_ROWS)
    except Exception as error:
        # The network may fail half-way, in any of the library's ways.
        raise hub.explained(error, reference) from error


def _write_note(folder: Path, source: HubSource, split: str, note: dict[str, Any]) -> None:
    record = read_record(folder) or {"id": source.id, "config": source.config}
    splits = record.get("splits")
    record["splits"] = {**(splits if isinstance(splits, dict) else {}), split: note}
    write_json(folder / RECORD_NAME, record)
