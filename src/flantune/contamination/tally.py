"""Turns matches into findings: how many rows of each task overlap, in which fields, with which training tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flantune.contamination.compared_rows import ComparedRows
from flantune.contamination.duplicates import Duplicate, DuplicateScanner
from flantune.contamination.excerpts import field_name, show_duplicate, show_overlap
from flantune.contamination.findings import ShownOverlap, TaskFinding, TrainFinding, TrainingOverlap
from flantune.contamination.hashing import Int64, expand
from flantune.contamination.overlap import Matches
from flantune.contamination.row_links import Links


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundOverlaps:
    """All results of the passes over the rows, by corpus row number.

    Attributes:
        measured: The measured rows.
        train: The training rows.
        matches: The matching n-grams.
        links: Measured units with the training documents they overlap with.
        link_rows: Measured row of each link, sorted.
        link_fields: Number of the text in that row, for each link.
        document_tasks: Sorted pairs (document, training task), shape [pairs, 2].
        duplicates: (measured row, training task) → a near duplicate.
        train_rows: Training rows that overlap with measured rows, sorted.
        too_short: Measured rows with too few words to compare, sorted.
        common_only: Measured rows that only share n-grams that are too common, sorted.
    """

    measured: ComparedRows
    train: ComparedRows
    matches: Matches
    links: Links
    link_rows: Int64
    link_fields: Int64
    document_tasks: NDArray[np.int64]
    duplicates: Mapping[tuple[int, int], Duplicate]
    train_rows: Int64
    too_short: Int64
    common_only: Int64


def make_found(
    *, measured: ComparedRows, train: ComparedRows, matches: Matches, links: Links, duplicates: DuplicateScanner
) -> FoundOverlaps:
    """Combines the results of the passes."""
    index = matches.index
    order = np.argsort(index.unit_rows[links.units], kind="stable")
    links = Links(
        units=links.units[order],
        documents=links.documents[order],
        train_rows=links.train_rows,
        common_only_rows=links.common_only_rows,
    )
    document_tasks = np.stack([matches.row_documents, train.tasks_of(matches.rows)], axis=1)
    return FoundOverlaps(
        measured=measured,
        train=train,
        matches=matches,
        links=links,
        link_rows=index.unit_rows[links.units].astype(np.int64),
        link_fields=index.unit_fields[links.units].astype(np.int64),
        document_tasks=np.unique(document_tasks, axis=0),
        duplicates=dict(sorted(duplicates.found.items())),
        train_rows=np.union1d(links.train_rows, _numbers(duplicates.train_rows)),
        too_short=np.setdiff1d(np.arange(measured.rows), index.unit_rows),
        common_only=np.setdiff1d(links.common_only_rows, _numbers({row for row, _ in duplicates.found})),
    )


def task_finding(found: FoundOverlaps, task: int, *, examples: int) -> TaskFinding:
    """The findings on one measured task."""
    first, stop = found.measured.firsts[[task, task + 1]].tolist()
    links = slice(*found.link_rows.searchsorted([first, stop]).tolist())
    doubles = {key: one for key, one in found.duplicates.items() if first <= key[0] < stop}
    overlapping, doubled = np.unique(found.link_rows[links]), _numbers({row for row, _ in doubles})
    return TaskFinding(
        task=found.measured.names[task],
        rows=stop - first,
        too_short=_between(found.too_short, first, stop),
        overlapping=len(overlapping),
        duplicates=len(doubled),
        common_only=_between(found.common_only, first, stop),
        dirty=_raw_rows(found.measured, np.union1d(overlapping, doubled)),
        fields=_fields(found, task, links),
        training=_training(found, links, Counter(train_task for _, train_task in doubles)),
        examples=(
            *(_show_row(found, row) for row in overlapping[:examples].tolist()),
            *(_show_double(found, one) for one in _one_a_row(doubles)[:examples]),
        ),
    )


def train_findings(found: FoundOverlaps) -> tuple[TrainFinding, ...]:
    """Each training task with its rows that overlap with measured rows."""
    firsts = found.train.firsts
    borders = found.train_rows.searchsorted(firsts).tolist()
    return tuple(
        TrainFinding(
            task=name,
            rows=int(firsts[task + 1] - firsts[task]),
            dirty=_raw_rows(found.train, found.train_rows[borders[task] : borders[task + 1]]),
        )
        for task, name in enumerate(found.train.names)
    )


def _fields(found: FoundOverlaps, task: int, links: slice) -> dict[str, int]:
    names = found.measured.field_names(task)
    # All references count as one field.
    fields = np.minimum(found.link_fields[links], len(names))
    pairs = np.unique(np.stack([found.link_rows[links], fields], axis=1), axis=0)
    counts = Counter(field_name(names, number) for number in pairs[:, 1].tolist())
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _training(found: FoundOverlaps, links: slice, doubles: Counter[int]) -> tuple[TrainingOverlap, ...]:
    """The number of measured rows affected by each training task."""
    documents, tasks = found.document_tasks[:, 0], found.document_tasks[:, 1]
    wanted = found.links.documents[links]
    starts = np.searchsorted(documents, wanted)
    sizes = np.searchsorted(documents, wanted, side="right") - starts
    touched = np.stack([np.repeat(found.link_rows[links], sizes), tasks[expand(starts, sizes)]], axis=1)
    overlapping = Counter(np.unique(touched, axis=0)[:, 1].tolist())
    names = found.train.names
    involved = sorted({*overlapping, *doubles}, key=lambda k: (-max(overlapping[k], doubles[k]), names[k]))
    return tuple(TrainingOverlap(task=names[k], overlapping=overlapping[k], duplicates=doubles[k]) for k in involved)


def _show_row(found: FoundOverlaps, row: int) -> ShownOverlap:
    """A row's overlap with the first training row that shares an n-gram with it."""
    links = np.arange(*found.link_rows.searchsorted([row, row + 1]))
    matches, documents = found.matches, found.links.documents
    sighting = int(np.flatnonzero(np.isin(matches.row_documents, documents[links]))[0])
    one = int(links[documents[links] == matches.row_documents[sighting]][0])
    return show_overlap(
        found.measured,
        (row, int(found.link_fields[one])),
        found.train,
        (int(matches.rows[sighting]), int(matches.fields[sighting])),
    )


def _show_double(found: FoundOverlaps, one: Duplicate) -> ShownOverlap:
    return show_duplicate(found.measured, one.row, found.train, one.train_row, jaccard=one.jaccard)


def _one_a_row(doubles: Mapping[tuple[int, int], Duplicate]) -> list[Duplicate]:
    return list({row: one for (row, _), one in sorted(doubles.items(), reverse=True)}.values())[::-1]


def _between(rows: Int64, first: int, stop: int) -> int:
    return int(rows.searchsorted(stop) - rows.searchsorted(first))


def _numbers(rows: set[int]) -> Int64:
    return np.array(sorted(rows), dtype=np.int64)


def _raw_rows(corpus: ComparedRows, rows: Int64) -> tuple[int, ...]:
    return tuple(sorted(corpus.example(row).row for row in rows.tolist()))
