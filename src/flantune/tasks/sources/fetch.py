"""Downloads hub datasets into a folder that mirrors the hub, for machines without a network."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from flantune.errors import FlantuneError, SourceError
from flantune.system.files import write_json
from flantune.tasks.sources import hub_api
from flantune.tasks.sources.mirror import RECORD_NAME, matches_revision, mirrored_splits, read_record, split_record
from flantune.tasks.sources.slices import parse_slice
from flantune.types import HubDataset, Task

_REFERENCE = re.compile(r"(?P<id>[\w.-]+(?:/[\w.-]+)?)(?::(?P<config>[^@\s]+))?(?:@(?P<revision>\S+))?")
_BATCH_ROWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """One split in the mirror.

    Attributes:
        dataset: The hub dataset that was requested.
        split: The source split.
        rows: Rows in it; None if flantune did not write the file.
        revision: The commit it was taken from, if the hub gives one.
        was_there: It had been fetched before, and was not changed.
    """

    dataset: HubDataset
    split: str
    path: Path
    rows: int | None
    revision: str | None
    was_there: bool

    def __str__(self) -> str:
        rows = "" if self.rows is None else f"{self.rows:,} rows, "
        state = "was there" if self.was_there else "fetched"
        return f"{self.dataset.id} {self.dataset.config or 'default'} {self.split}: {rows}{state}"


def fetch_to_mirror(
    wanted: Iterable[Task | str],
    mirror: Path,
    *,
    max_rows: int = 0,
    progress: Callable[[str], None] | None = None,
) -> tuple[Fetched, ...]:
    """Downloads hub datasets to ``<mirror>/<org>/<name>/<config>/<split>.parquet``.

    Existing splits of the requested revision are not changed. If tasks only read the first rows of a split, only these
    are downloaded. A failure does not stop the others; all failures are raised together at the end.

    Args:
        wanted: Tasks (those on files, and those that ``by_hand`` lists, are skipped), or hub datasets as
            ``<org>/<name>[:<config>][@<revision>]``, with all their splits.
        mirror: The folder to fill.
        max_rows: Rows to download of each split, from its beginning; 0: all.
        progress: Called with a line of text for each split.

    Raises:
        SourceError: A dataset cannot be downloaded or written.
    """
    fetched: list[Fetched] = []
    failures: list[FlantuneError] = []
    for dataset, splits in _gathered(wanted).items():
        try:
            names = splits or dict.fromkeys(hub_api.split_names(dataset), 0)
            for split, needed in names.items():
                fetched.append(_fetch_split(dataset, split, mirror, _smaller(max_rows, needed)))
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


def parse_reference(text: str) -> HubDataset:
    """A hub dataset from its reference.

    >>> parse_reference("aps/super_glue:rte").config
    'rte'

    Raises:
        SourceError: It is not a valid reference.
    """
    match = _REFERENCE.fullmatch(text.strip())
    if match is None:
        raise SourceError(
            f'"{text}" is not a hub dataset', hint="write <org>/<name>, and :<config> and @<revision> if needed"
        )
    return HubDataset(id=match["id"], config=match["config"], revision=match["revision"])


def by_hand(tasks: Iterable[Task], mirror: Path) -> dict[str, str]:
    """Task → how to get its data, for tasks whose data cannot be downloaded and whose folder is not in the mirror."""
    found = {}
    for task in tasks:
        dataset, how = task.source.hub, task.source.manual
        if dataset is not None and how:
            there = mirrored_splits(_folder(mirror, dataset))
            if not all(parse_slice(text).source_split in there for text in task.splits.values()):
                found[task.name] = how
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


def _folder(mirror: Path, dataset: HubDataset) -> Path:
    return mirror / dataset.id / (dataset.config or "default")


def _gathered(wanted: Iterable[Task | str]) -> dict[HubDataset, dict[str, int]]:
    """Dataset → the splits that are used, with the number of rows from the front, 0 for all; empty means all splits."""
    splits: dict[HubDataset, dict[str, int]] = {}
    whole: set[HubDataset] = set()
    for one in wanted:
        if isinstance(one, str):
            dataset = parse_reference(one)
            splits.setdefault(dataset, {})
            whole.add(dataset)
        elif one.source.hub is not None and not one.source.manual:
            used = splits.setdefault(one.source.hub, {})
            for taken in map(parse_slice, one.splits.values()):
                used[taken.source_split] = _larger(used.get(taken.source_split, 1), taken.rows_needed or 0)
    return {dataset: {} if dataset in whole else names for dataset, names in splits.items()}


def _fetch_split(dataset: HubDataset, split: str, mirror: Path, max_rows: int) -> Fetched:
    folder = _folder(mirror, dataset)
    there = mirrored_splits(folder).get(split)
    note = split_record(folder, split)
    if there and _is_wanted(note, dataset.revision, max_rows):
        return _fetched(dataset, split, there[0], note, was_there=True)
    commit = hub_api.resolve_revision(dataset)
    # By commit, so that all splits have the same one; the converted branch is read by name, which selects the reader.
    is_converted = dataset.revision == hub_api.CONVERTED
    pinned = dataset if is_converted else replace(dataset, revision=commit or dataset.revision)
    found = hub_api.load_hub_split(pinned, split=split, streaming=max_rows > 0)
    path = folder / f"{split}.parquet"
    note = {"rows": 0, "is_whole": True, "revision": dataset.revision, "commit": commit}

    def write_note(rows: int) -> None:
        note.update(rows=rows, is_whole=max_rows == 0 or rows < max_rows)
        _write_note(folder, dataset, split, note)

    rows = found.take(max_rows) if max_rows else found
    _write_parquet(rows, path, dataset, before_it_is_there=write_note)
    return _fetched(dataset, split, path, note, was_there=False)


def _is_wanted(note: dict[str, Any], revision: str | None, max_rows: int) -> bool:
    """Whether an existing split is sufficient; one that flantune did not fetch is the user's own and is."""
    has_enough = not note or note["is_whole"] or 0 < max_rows <= note["rows"]
    return has_enough and matches_revision(note, revision)


def _fetched(dataset: HubDataset, split: str, path: Path, note: dict[str, Any], *, was_there: bool) -> Fetched:
    return Fetched(
        dataset=dataset,
        split=split,
        path=path,
        rows=note.get("rows"),
        revision=note.get("commit") or note.get("revision"),
        was_there=was_there,
    )


def _write_parquet(found: Any, path: Path, dataset: HubDataset, *, before_it_is_there: Callable[[int], None]) -> None:
    """Writes a split's rows with its own Arrow types, and calls back with their number before the file exists.

    A file without a record counts as the user's own and complete, so a killed process must not leave one.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    temporary = path.parent / f".{path.name}.{uuid4().hex}"
    rows, writer = 0, None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for table in _tables(found, dataset):
            writer = writer or pq.ParquetWriter(temporary, table.schema)
            writer.write_table(table.cast(writer.schema))
            rows += table.num_rows
        if writer is None:
            raise SourceError("the split has no rows", where=str(dataset))
        writer.close()
        path.unlink(missing_ok=True)
        before_it_is_there(rows)
        temporary.replace(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(f"cannot be written: {error}", where=str(path), hint="free some space") from error
    finally:
        temporary.unlink(missing_ok=True)


def _tables(found: Any, dataset: HubDataset) -> Iterator[Any]:
    try:
        yield from found.with_format("arrow").iter(batch_size=_BATCH_ROWS)
    except Exception as error:
        # The network may fail at any time, with any of the library's exceptions.
        raise hub_api.explained(error, dataset) from error


def _write_note(folder: Path, dataset: HubDataset, split: str, note: dict[str, Any]) -> None:
    record = read_record(folder) or {"id": dataset.id, "config": dataset.config}
    splits = record.get("splits")
    record["splits"] = {**(splits if isinstance(splits, dict) else {}), split: note}
    write_json(folder / RECORD_NAME, record)
