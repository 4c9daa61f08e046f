"""Measured rows of so few words that neither n-grams nor shingles tell anything: compared whole, word by word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from flantune.contamination.compared_rows import ComparedRows, HasRows, make_corpus


def short_copies(train: Iterable[HasRows], measured: Iterable[HasRows], *, words: int) -> dict[str, frozenset[int]]:
    """Measured rows of fewer words that a training row has too, all of them and in the same order.

    Args:
        train: Tasks trained on; their train split is read, if any measured row is so short.
        measured: Tasks measured; their test split is read.
        words: Rows of so many words or more are left to the comparison of n-grams.

    Returns:
        Measured task → raw numbers of such rows of its test split.
    """
    corpus = make_corpus(measured, "test")
    places: dict[bytes, list[int]] = {}
    for row, key in _short_rows(corpus, words):
        places.setdefault(key, []).append(row)
    found: list[int] = []
    for _, key in _short_rows(make_corpus(train, "train"), words) if places else ():
        found += places.pop(key, ())
    tasks = corpus.tasks_of(np.array(found, dtype=np.int64)).tolist()
    rows: dict[str, set[int]] = {name: set() for name in corpus.names}
    for row, task in zip(found, tasks, strict=True):
        rows[corpus.names[task]].add(corpus.example(row).row)
    return {name: frozenset(numbers) for name, numbers in rows.items()}


def _short_rows(corpus: ComparedRows, words: int) -> Iterator[tuple[int, bytes]]:
    """The rows of one to ``words`` - 1 words, with the hashes of these."""
    for block in corpus.blocks():
        firsts = block.words.firsts[np.searchsorted(block.row_of_text, np.arange(block.rows + 1))]
        sizes = np.diff(firsts)
        for row in np.flatnonzero((sizes > 0) & (sizes < words)).tolist():
            yield block.first_row + row, block.words.hashes[firsts[row] : firsts[row + 1]].tobytes()
