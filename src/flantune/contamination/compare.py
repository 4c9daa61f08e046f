"""Training tasks against measured tasks: one pass over each side, then the findings."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from flantune.contamination.corpus import WHOLE_ROW, Corpus, make_corpus
from flantune.contamination.duplicates import DuplicateCollector, DuplicateScanner
from flantune.contamination.findings import FoldFinding, Settings, Shown, TaskFinding, TrainFinding, TrainingOverlap
from flantune.contamination.grams import GramCollector
from flantune.contamination.hashing import Int64, expand, ranges
from flantune.contamination.links import Links, link
from flantune.contamination.overlap import Matches, OverlapScanner
from flantune.contamination.spans import longest_shared_run, shorten
from flantune.contamination.units import make_units
from flantune.tasks.store import PreparedTask

OnRows = Callable[[int, int, str], None]
"""Told of progress: rows done, rows in all, what is being read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Everything the passes found, by row numbers of the corpora."""

    measured: Corpus
    train: Corpus
    matches: Matches
    links: Links
    link_rows: Int64
    link_fields: Int64
    duplicates: DuplicateScanner
    too_short: Int64


def compare(
    train: Iterable[PreparedTask],
    unseen: Iterable[PreparedTask],
    *,
    settings: Settings = Settings(),
    held_out: tuple[str, ...] = (),
    on_rows: OnRows | None = None,
    hash_bits: int = 64,
) -> FoldFinding:
    """Which test rows of the unseen tasks are, in part or nearly whole, among the train rows of the training tasks.

    Memory holds the n-grams of the measured rows; training streams past them. The order in which tasks are given
    changes nothing.

    Args:
        train: Tasks trained on; their train split is read.
        unseen: Tasks measured; their test split is read.
        settings: What counts as an overlap.
        held_out: Names of the held-out clusters, for the report.
        on_rows: Told of progress.
        hash_bits: Bits of an n-gram hash; fewer than 64 only to test that findings do not rest on hashes.

    Paper: FLAN 2021, appendix C; GPT-3, appendix C.
    """
    found = _scan(make_corpus(train, "train"), make_corpus(unseen, "test"), settings, on_rows, hash_bits)
    return FoldFinding(
        held_out=held_out,
        tasks=tuple(_task_finding(found, task, settings) for task in range(len(found.measured.names))),
        train=tuple(_train_findings(found)),
        common_grams=found.matches.common_grams,
    )


def _scan(train: Corpus, measured: Corpus, settings: Settings, on_rows: OnRows | None, hash_bits: int) -> _Found:
    grams = GramCollector(measured, ngram=settings.ngram, min_ngram=settings.min_ngram, hash_bits=hash_bits)
    similar = DuplicateCollector(
        measured,
        jaccard=settings.jaccard,
        shingle=settings.shingle,
        min_words=settings.min_ngram,
        seed=settings.seed,
    )
    for block in measured.blocks(_counting(on_rows, measured.rows, "measured rows")):
        grams.add(make_units(block, ngram=settings.ngram))
        similar.add(block)
    index = grams.index()
    scanner = OverlapScanner(index, max_documents=settings.max_documents)
    duplicates = DuplicateScanner(similar.index(), train)
    for block in train.blocks(_counting(on_rows, train.rows, "training rows")):
        scanner.add(block, make_units(block, ngram=settings.ngram))
        duplicates.add(block)
    matches = scanner.matches()
    links = link(matches)
    return _Found(
        measured=measured,
        train=train,
        matches=matches,
        links=links,
        link_rows=index.unit_rows[links.units].astype(np.int64),
        link_fields=index.unit_fields[links.units].astype(np.int64),
        duplicates=duplicates,
        too_short=np.setdiff1d(np.arange(measured.rows), index.unit_rows),
    )


def _counting(on_rows: OnRows | None, total: int, what: str) -> Callable[[int], None] | None:
    if on_rows is None:
        return None
    return lambda done: on_rows(done, total, f"{what}: {done:,} of {total:,}")


def _task_finding(found: _Found, task: int, settings: Settings) -> TaskFinding:
    first, stop = found.measured.firsts[[task, task + 1]].tolist()
    low, high = (int(found.link_rows.searchsorted(row)) for row in (first, stop))
    rows, fields = found.link_rows[low:high], found.link_fields[low:high]
    overlapping = np.unique(rows)
    doubles = {key: one for key, one in found.duplicates.found.items() if first <= key[0] < stop}
    names = found.measured.field_names(task)
    field_rows = np.unique(np.stack([rows, np.minimum(fields, len(names))], axis=1), axis=0)
    counts = Counter(_field_name(names, number) for number in field_rows[:, 1].tolist())
    dirty = np.union1d(overlapping, np.array(sorted({row for row, _ in doubles}), dtype=np.int64))
    return TaskFinding(
        task=found.measured.names[task],
        rows=stop - first,
        too_short=_between(found.too_short, first, stop),
        overlapping=len(overlapping),
        duplicates=len({row for row, _ in doubles}),
        common_only=_between(found.links.common_only_rows, first, stop),
        dirty=_raw_rows(found.measured, dirty),
        fields=dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        training=_training_overlaps(found, low, high, [task for _, task in doubles]),
        examples=(*_shown_overlaps(found, low, high, settings), *_shown_duplicates(found, task, doubles, settings)),
    )


def _between(rows: Int64, first: int, stop: int) -> int:
    return int(rows.searchsorted(stop) - rows.searchsorted(first))


def _raw_rows(corpus: Corpus, rows: Int64) -> tuple[int, ...]:
    return tuple(sorted(corpus.example(row).row for row in rows.tolist()))


def _field_name(names: tuple[str, ...], number: int) -> str:
    if number == WHOLE_ROW:
        return "(row)"
    return names[number] if number < len(names) else "(answer)"


def _training_overlaps(found: _Found, low: int, high: int, double_tasks: list[int]) -> tuple[TrainingOverlap, ...]:
    """Rows that each training task touches, from the links ``low`` to ``high`` and the duplicates' tasks."""
    matches = found.matches
    # Document → training tasks, as sorted pairs, joined with the links' documents.
    pairs = np.unique(np.stack([matches.row_documents, found.train.tasks_of(matches.rows)], axis=1), axis=0)
    documents = found.links.documents[low:high]
    starts = np.searchsorted(pairs[:, 0], documents)
    sizes = np.searchsorted(pairs[:, 0], documents, side="right") - starts
    touched = np.stack([np.repeat(found.link_rows[low:high], sizes), pairs[expand(starts, sizes), 1]], axis=1)
    overlapping = Counter(np.unique(touched, axis=0)[:, 1].tolist())
    doubles = Counter(double_tasks)
    involved = sorted(
        {*overlapping, *doubles}, key=lambda task: (-max(overlapping[task], doubles[task]), found.train.names[task])
    )
    return tuple(
        TrainingOverlap(task=found.train.names[task], overlapping=overlapping[task], duplicates=doubles[task])
        for task in involved
    )


def _shown_overlaps(found: _Found, low: int, high: int, settings: Settings) -> list[Shown]:
    """The first rows that overlap, each with the first training row it overlaps with."""
    matches, shown = found.matches, list[Shown]()
    sightings: dict[int, int] = {}
    for row in np.unique(found.link_rows[low:high])[: settings.examples].tolist():
        links = low + np.flatnonzero(found.link_rows[low:high] == row)
        is_seen = np.flatnonzero(np.isin(matches.row_documents, found.links.documents[links]))
        sighting = int(is_seen[0])
        document = int(matches.row_documents[sighting])
        one = int(links[found.links.documents[links] == document][0])
        sightings[one] = sighting
        shown.append(_shown_overlap(found, one, sighting))
    return shown


def _shown_overlap(found: _Found, one: int, sighting: int) -> Shown:
    row, field = int(found.link_rows[one]), int(found.link_fields[one])
    train_row, train_field = int(found.matches.rows[sighting]), int(found.matches.fields[sighting])
    span = longest_shared_run(found.measured.strings(row, field), found.train.strings(train_row, train_field))
    task, train_task = (int(c.tasks_of(np.asarray(r))) for c, r in ((found.measured, row), (found.train, train_row)))
    return Shown(
        row=found.measured.example(row).row,
        field=_field_name(found.measured.field_names(task), field),
        train_task=found.train.names[train_task],
        train_row=found.train.example(train_row).row,
        train_field=_field_name(found.train.field_names(train_task), train_field),
        span=shorten(span),
        words=len(span),
    )
