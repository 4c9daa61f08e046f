"""Compares training tasks with measured tasks: one pass over each side, then the findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from flantune.contamination.compared_rows import ComparedRows, HasRows, make_corpus
from flantune.contamination.compared_texts import make_units
from flantune.contamination.duplicates import DuplicateCollector, DuplicateScanner
from flantune.contamination.findings import FoldFinding, Settings
from flantune.contamination.ngrams import GramCollector
from flantune.contamination.overlap import OverlapScanner
from flantune.contamination.row_links import link
from flantune.contamination.tally import FoundOverlaps, make_found, task_finding, train_findings

_DEFAULTS = Settings()

OnRows = Callable[[int, int, str], None]
"""Called with the progress: rows done, total rows, what is being read."""


def compare(
    train: Iterable[HasRows],
    unseen: Iterable[HasRows],
    *,
    settings: Settings = _DEFAULTS,
    held_out: tuple[str, ...] = (),
    on_rows: OnRows | None = None,
    hash_bits: int = 64,
) -> FoldFinding:
    """Finds test rows of unseen tasks that occur, in part or nearly completely, in training rows.

    The n-grams of the measured rows are in memory; training rows are streamed. The order of tasks does not matter.

    Args:
        train: Tasks trained on; their train split is read.
        unseen: Tasks measured; their test split is read.
        settings: What counts as an overlap.
        held_out: Names of the held-out clusters, for the report.
        on_rows: Called with the progress.
        hash_bits: Bits of an n-gram hash; fewer than 64 only for testing that findings do not depend on hashes.

    Paper: FLAN 2021, appendix C; GPT-3, appendix C.
    """
    found = _scan(make_corpus(train, "train"), make_corpus(unseen, "test"), settings, on_rows, hash_bits)
    return FoldFinding(
        held_out=held_out,
        tasks=tuple(task_finding(found, task, examples=settings.examples) for task in range(len(found.measured.names))),
        train=train_findings(found),
        common_grams=found.matches.common_grams,
    )


def _scan(
    train: ComparedRows, measured: ComparedRows, settings: Settings, on_rows: OnRows | None, hash_bits: int
) -> FoundOverlaps:
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
    return make_found(measured=measured, train=train, matches=matches, links=link(matches), duplicates=duplicates)


def _counting(on_rows: OnRows | None, total: int, what: str) -> Callable[[int], None] | None:
    if on_rows is None:
        return None
    return lambda done: on_rows(done, total, f"{what}: {done:,} of {total:,}")
