"""The index of n-grams in measured rows: a sorted array of hashes, with the places of each n-gram."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from flantune.contamination.compared_rows import ComparedRows
from flantune.contamination.compared_texts import Units
from flantune.contamination.hashing import BitFilter, Int64, UInt64, expand, make_filter

_KEPT_UNITS = 4096
Int32 = NDArray[np.int32]
_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GramIndex:
    """The n-grams of the measured rows. An *occurrence* is one place of an n-gram; occurrences are sorted by n-gram.

    Attributes:
        corpus: The measured rows.
        hashes: Hash of each distinct n-gram, sorted, shape [grams].
        firsts: Number of each n-gram's first occurrence, and the end: shape [grams + 1].
        units: Unit of each occurrence, shape [occurrences].
        offsets: Index of each occurrence's first word in its unit, shape [occurrences].
        unit_rows: Row of each unit in the corpus, shape [units].
        unit_fields: Number of each unit's text in its row, shape [units].
        unit_lengths: Number of words of the unit's n-grams, shape [units].
        lengths: All lengths of n-grams, in words.
        filter: Quickly excludes most hashes that are not in the index.
        hash_mask: The bits of a hash that are compared; fewer than 64 only for testing that findings do not depend on
            hashes.
    """

    corpus: ComparedRows
    hashes: UInt64
    firsts: Int64
    units: Int32
    offsets: Int32
    unit_rows: Int32
    unit_fields: NDArray[np.int16]
    unit_lengths: NDArray[np.uint8]
    lengths: tuple[int, ...]
    filter: BitFilter
    hash_mask: int

    def find(self, hashes: UInt64) -> tuple[Int64, Int64]:
        """The hashes that are in the index: their positions in ``hashes``, and the numbers of their n-grams."""
        masked = hashes & np.uint64(self.hash_mask)
        places = np.flatnonzero(self.filter.may_hold(masked))
        wanted = masked[places]
        grams = np.searchsorted(self.hashes, wanted)
        is_found = grams < len(self.hashes)
        is_found[is_found] = self.hashes[grams[is_found]] == wanted[is_found]
        return places[is_found], grams[is_found]

    def grams_of(self, occurrences: Int64) -> Int64:
        """The n-gram of each occurrence."""
        return np.searchsorted(self.firsts, occurrences, side="right") - 1


class GramCollector:
    """Collects units of measured rows, block by block, into an index."""

    def __init__(self, corpus: ComparedRows, *, ngram: int, min_ngram: int, hash_bits: int = 64) -> None:
        self._corpus, self._ngram, self._min = corpus, ngram, min_ngram
        self._mask = (2**64 - 1) << (64 - hash_bits) & (2**64 - 1)
        self._hashes: list[UInt64] = []
        self._units: list[Int32] = []
        self._offsets: list[Int32] = []
        self._described: list[tuple[Int64, Int64, Int64]] = []
        self._unit_count = 0

    def add(self, units: Units) -> None:
        """Adds all n-grams of units; a unit with fewer words, if such are compared, is one n-gram as a whole."""
        kept = np.flatnonzero(units.sizes >= np.where(units.may_be_short, self._min, self._ngram))
        sizes = units.sizes[kept]
        lengths = np.minimum(sizes, self._ngram)
        for length in np.unique(lengths).tolist():
            chosen = np.flatnonzero(lengths == length)
            counts = sizes[chosen] - length + 1
            places = expand(units.firsts[kept[chosen]], counts)
            self._hashes.append(units.sums.windows(length)[places] & np.uint64(self._mask))
            self._units.append((np.repeat(chosen, counts) + self._unit_count).astype(np.int32))
            self._offsets.append(expand(np.zeros_like(counts), counts).astype(np.int32))
        self._described.append((units.rows[kept], units.fields[kept], lengths))
        self._unit_count += len(kept)

    def index(self) -> GramIndex:
        """The index of all added units; empties the collector."""
        hashes, units, offsets = (
            _join(self._hashes, np.uint64),
            _join(self._units, np.int32),
            _join(self._offsets, np.int32),
        )
        # N-grams of one length were added in order of unit and offset; a stable sort keeps that order.
        order = np.argsort(hashes, kind="stable")
        hashes = hashes[order]
        is_first = np.ones(len(hashes), dtype=np.bool_)
        is_first[1:] = hashes[1:] != hashes[:-1]
        rows, fields, lengths = (_join([part[k] for part in self._described], np.int64) for k in range(3))
        distinct = hashes[is_first]
        return GramIndex(
            corpus=self._corpus,
            hashes=distinct,
            firsts=np.append(np.flatnonzero(is_first), len(hashes)),
            units=units[order],
            offsets=offsets[order],
            unit_rows=rows.astype(np.int32),
            unit_fields=fields.astype(np.int16),
            unit_lengths=lengths.astype(np.uint8),
            lengths=tuple(np.unique(lengths).tolist()),
            filter=make_filter(distinct),
            hash_mask=self._mask,
        )


class UnitWords:
    """The words of an index's units, read from their rows again to verify matching hashes."""

    def __init__(self, index: GramIndex) -> None:
        self._index = index
        self._read = lru_cache(maxsize=_KEPT_UNITS)(self._of_unit)

    def of(self, unit: int) -> list[str]:
        """All words of a unit."""
        return self._read(unit)

    def at(self, occurrence: int, length: int) -> list[str]:
        """``length`` words of a unit, from an occurrence on."""
        offset = int(self._index.offsets[occurrence])
        return self.of(int(self._index.units[occurrence]))[offset : offset + length]

    def _of_unit(self, unit: int) -> list[str]:
        return self._index.corpus.strings(int(self._index.unit_rows[unit]), int(self._index.unit_fields[unit]))


def _join(parts: list[NDArray[_Scalar]], dtype: type[_Scalar]) -> NDArray[_Scalar]:
    joined = np.concatenate(parts) if parts else np.empty(0, dtype=dtype)
    parts.clear()
    return joined
