"""Near-duplicate rows: found by MinHash buckets, verified by the exact Jaccard index of their shingles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from flantune.contamination.compared_rows import WHOLE_ROW, Block, ComparedRows
from flantune.contamination.hashing import BitFilter, Bool, Int64, UInt64, expand, make_filter, prefix_sums, ranges
from flantune.contamination.minhash import Bands, band_keys, choose_bands

_CHUNK_PAIRS = 1 << 20
_KEPT_ROWS = 8192


def shingles_of(words: Sequence[str], size: int) -> frozenset[str]:
    """The distinct shingles of a row: runs of ``size`` words, or all of its words if there are fewer.

    >>> sorted(shingles_of("to be or not to be or".split(), 3))
    ['be or not', 'not to be', 'or not to', 'to be or']
    """
    return frozenset(" ".join(words[k : k + size]) for k in range(max(1, len(words) - size + 1)))


def jaccard_index(one: frozenset[str], other: frozenset[str]) -> float:
    """Shared shingles over all shingles of two rows.

    >>> jaccard_index(frozenset("abc"), frozenset("bcd"))
    0.5
    """
    return len(one & other) / len(one | other)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _RowShingles:
    """Hashed shingles of the rows of a block that have enough words.

    Attributes:
        rows: Row of the corpus, shape [rows].
        firsts: Where each row's shingles start, and the end, shape [rows + 1].
        hashes: Shape [shingles].
    """

    rows: Int64
    firsts: Int64
    hashes: UInt64

    def only(self, chosen: Int64) -> _RowShingles:
        sizes = np.diff(self.firsts)[chosen]
        return _RowShingles(
            rows=self.rows[chosen], firsts=ranges(sizes), hashes=self.hashes[expand(self.firsts[:-1][chosen], sizes)]
        )


def _row_shingles(block: Block, *, size: int, min_words: int) -> _RowShingles:
    first_text = np.searchsorted(block.row_of_text, np.arange(block.rows + 1))
    first_word = block.words.firsts[first_text]
    words = np.diff(first_word)
    kept = np.flatnonzero(words >= max(min_words, size))
    counts = words[kept] - size + 1
    places = expand(first_word[:-1][kept], counts)
    return _RowShingles(
        rows=kept + block.first_row, firsts=ranges(counts), hashes=prefix_sums(block.words.hashes).windows(size)[places]
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DuplicateIndex:
    """The measured rows by bucket.

    Attributes:
        corpus: The measured rows.
        keys: Sorted bucket keys, shape [rows · bands].
        rows: The row of each key, shape [rows · bands].
        filter: Quickly excludes what is not a shingle of a measured row.
    """

    corpus: ComparedRows
    keys: UInt64
    rows: NDArray[np.int32]
    filter: BitFilter
    bands: Bands
    jaccard: float
    shingle: int
    min_words: int
    seed: int


class DuplicateCollector:
    """Collects measured rows, block by block, into an index."""

    def __init__(self, corpus: ComparedRows, *, jaccard: float, shingle: int, min_words: int, seed: int) -> None:
        self._corpus, self._jaccard, self._shingle = corpus, jaccard, shingle
        self._min_words, self._seed = min_words, seed
        self._bands = choose_bands(jaccard)
        self._keys: list[UInt64] = []
        self._rows: list[NDArray[np.int32]] = []
        self._shingles: list[UInt64] = []

    def add(self, block: Block) -> None:
        """Adds the rows of a block."""
        found = _row_shingles(block, size=self._shingle, min_words=self._min_words)
        self._keys.append(band_keys(found.hashes, found.firsts, bands=self._bands, seed=self._seed).ravel())
        self._rows.append(np.repeat(found.rows, self._bands.count).astype(np.int32))
        self._shingles.append(np.unique(found.hashes))

    def index(self) -> DuplicateIndex:
        """The index of all added rows."""
        keys = np.concatenate([np.empty(0, np.uint64), *self._keys])
        rows = np.concatenate([np.empty(0, np.int32), *self._rows])
        order = np.lexsort((rows, keys))
        return DuplicateIndex(
            corpus=self._corpus,
            keys=keys[order],
            rows=rows[order],
            filter=make_filter(np.concatenate([np.empty(0, np.uint64), *self._shingles])),
            bands=self._bands,
            jaccard=self._jaccard,
            shingle=self._shingle,
            min_words=self._min_words,
            seed=self._seed,
        )


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A measured row and a training row that are near duplicates.

    Attributes:
        row: The measured row, by its number in the corpus.
        train_row: The training row.
        jaccard: The exact Jaccard index of their shingles.
    """

    row: int
    train_row: int
    jaccard: float


class DuplicateScanner:
    """Processes training rows, block by block, and keeps one duplicate per measured row and training task.

    A pair that cannot add information is not compared: its training row is already known to be a duplicate, and its
    measured row to have one in that task.
    """

    def __init__(self, index: DuplicateIndex, train: ComparedRows) -> None:
        self._index, self._train = index, train
        self._read = lru_cache(maxsize=_KEPT_ROWS)(self._shingles_of_row)
        self.found: dict[tuple[int, int], Duplicate] = {}
        self.train_rows: set[int] = set()

    def add(self, block: Block) -> None:
        """Adds one block of training rows."""
        if not len(self._index.keys):
            return
        rows = _row_shingles(block, size=self._index.shingle, min_words=self._index.min_words)
        rows = rows.only(np.flatnonzero(self._may_match(rows)))
        for train_row, row in self._candidates(rows):
            self._compare(block, train_row, row)

    def _may_match(self, rows: _RowShingles) -> Bool:
        """False for a row that cannot be similar enough to any measured row.

        |A ∩ B| ≥ j · |A ∪ B| ≥ j · |A|: at least that share of a row's distinct shingles must occur in measured rows.
        """
        counts = np.diff(rows.firsts)
        owners = np.repeat(np.arange(len(counts)), counts)
        is_known = self._index.filter.may_hold(rows.hashes)
        may = np.bincount(owners, weights=is_known, minlength=len(counts)) >= 1
        # Distinct shingles: sort (row, hash) pairs in one number each; there are fewer than 2^24 rows per block.
        chosen = may[owners]
        pairs = (owners[chosen].astype(np.uint64) << np.uint64(40)) | (rows.hashes[chosen] >> np.uint64(24))
        order = np.argsort(pairs)
        pairs, is_known = pairs[order], is_known[chosen][order]
        is_new = np.ones(len(pairs), dtype=np.bool_)
        is_new[1:] = pairs[1:] != pairs[:-1]
        of = (pairs[is_new] >> np.uint64(40)).astype(np.int64)
        distinct = np.bincount(of, minlength=len(counts))
        known = np.bincount(of, weights=is_known[is_new], minlength=len(counts))
        return may & (known >= self._index.jaccard * distinct)

    def _candidates(self, rows: _RowShingles) -> Iterator[tuple[int, int]]:
        """Pairs (training row, measured row) with a bucket in common, in order, each once."""
        if not len(rows.rows):
            return
        keys = band_keys(rows.hashes, rows.firsts, bands=self._index.bands, seed=self._index.seed)
        low = np.searchsorted(self._index.keys, keys, side="left")
        sizes = np.searchsorted(self._index.keys, keys, side="right") - low
        part = np.cumsum(sizes.sum(axis=1)) // _CHUNK_PAIRS
        for number in np.unique(part):
            chosen = np.flatnonzero(part == number)
            counts = sizes[chosen]
            measured = self._index.rows[expand(low[chosen].ravel(), counts.ravel())].astype(np.int64)
            trained = np.repeat(rows.rows[chosen], counts.sum(axis=1))
            yield from np.unique(np.stack([trained, measured], axis=1), axis=0).tolist()

    def _compare(self, block: Block, train_row: int, row: int) -> None:
        task = int(self._train.tasks_of(np.asarray(train_row)))
        if (row, task) in self.found and train_row in self.train_rows:
            return
        similarity = jaccard_index(self._read(row), self._shingles_of_block(block, train_row))
        if similarity >= self._index.jaccard:
            self.train_rows.add(train_row)
            self.found.setdefault((row, task), Duplicate(row, train_row, similarity))

    def _shingles_of_row(self, row: int) -> frozenset[str]:
        return shingles_of(self._index.corpus.strings(row, WHOLE_ROW), self._index.shingle)

    def _shingles_of_block(self, block: Block, train_row: int) -> frozenset[str]:
        first, stop = np.searchsorted(block.row_of_text, [train_row - block.first_row, train_row - block.first_row + 1])
        return shingles_of(block.words.strings(*block.words.firsts[[first, stop]].tolist()), self._index.shingle)
