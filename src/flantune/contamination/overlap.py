"""Streams training rows past the n-grams of measured rows; every match is verified word by word."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise

import numpy as np

from flantune.contamination.compared_rows import Block
from flantune.contamination.compared_texts import Units
from flantune.contamination.hashing import Int64
from flantune.contamination.ngrams import GramIndex, UnitWords


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matches:
    """Matches in training rows. A *document* is a distinct text: one shared by many rows counts once.

    Attributes:
        index: The n-grams that were searched for.
        counts: Number of documents with each n-gram, shape [grams]; exact up to one above the limit.
        documents: Document of each match, in growing order, shape [matches].
        occurrences: The occurrence it matches, shape [matches].
        row_documents: Document of each sighting, shape [sightings].
        rows: Training row of each sighting, in growing order, shape [sightings].
        fields: Which text of the row, shape [sightings].
        max_documents: An n-gram in more documents is too common to count; None: no limit.
    """

    index: GramIndex
    counts: Int64
    documents: Int64
    occurrences: Int64
    row_documents: Int64
    rows: Int64
    fields: Int64
    max_documents: int | None

    @property
    def common_grams(self) -> int:
        """N-grams ignored because too many documents contain them."""
        return 0 if self.max_documents is None else int((self.counts > self.max_documents).sum())


@dataclass(frozen=True, slots=True)
class _Hits:
    """Places of a block whose hash equals that of an n-gram, sorted by unit, length and place."""

    units: Int64
    places: Int64
    lengths: Int64
    grams: Int64


class OverlapScanner:
    """Processes the units of training rows, block by block, and records what they share with measured rows.

    Memory: for each measured n-gram at most ``max_documents`` + 1 matches, and a few bytes per matching training row.
    """

    def __init__(self, index: GramIndex, *, max_documents: int | None) -> None:
        self._index, self._max = index, max_documents
        self._words = UnitWords(index)
        self._counts = np.zeros(len(index.hashes), dtype=np.int64)
        self._known: dict[bytes, int] = {}
        self._documents, self._occurrences = array("q"), array("q")
        self._row_documents, self._rows, self._fields = array("q"), array("q"), array("q")

    def add(self, block: Block, units: Units) -> None:
        """Adds the units of one block of training rows."""
        hits = self._hits(units)
        borders = np.flatnonzero(np.diff(hits.units)) + 1
        for start, stop in pairwise([0, *borders.tolist(), len(hits.units)] if len(hits.units) else []):
            unit = int(hits.units[start])
            first, base = int(units.words[unit]), int(units.firsts[unit])
            words = block.words.strings(first, first + int(units.firsts[unit + 1]) - base)
            document = self._document(words, hits, slice(start, stop), base=base)
            if document is not None:
                self._row_documents.append(document)
                self._rows.append(int(units.rows[unit]))
                self._fields.append(int(units.fields[unit]))

    def matches(self) -> Matches:
        """The matches in all blocks."""
        lists = (self._documents, self._occurrences, self._row_documents, self._rows, self._fields)
        documents, occurrences, row_documents, rows, fields = (np.array(one, dtype=np.int64) for one in lists)
        return Matches(
            index=self._index,
            counts=self._counts,
            documents=documents,
            occurrences=occurrences,
            row_documents=row_documents,
            rows=rows,
            fields=fields,
            max_documents=self._max,
        )

    def _hits(self, units: Units) -> _Hits:
        found = [self._hits_of_length(units, length) for length in self._index.lengths]
        joined = [np.concatenate(parts) for parts in zip(*found, strict=True)] if found else [np.empty(0, np.int64)] * 4
        order = np.lexsort((joined[1], joined[2], joined[0]))
        return _Hits(*(part[order] for part in joined))

    def _hits_of_length(self, units: Units, length: int) -> tuple[Int64, Int64, Int64, Int64]:
        places, grams = self._index.find(units.sums.windows(length))
        owners = np.searchsorted(units.firsts, places, side="right") - 1
        # A window that extends into the next unit is not an n-gram, and its words would not match.
        is_whole = places + length <= units.firsts[owners + 1]
        if self._max is not None:
            # Already too common: nothing more is needed.
            is_whole &= self._counts[grams] <= self._max
        places, grams, owners = places[is_whole], grams[is_whole], owners[is_whole]
        return owners, places, np.full(len(places), length, dtype=np.int64), grams

    def _document(self, words: list[str], hits: _Hits, part: slice, *, base: int) -> int | None:
        """The document's number; None if only hashes are shared."""
        key = blake2b("\x00".join(words).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        known = self._known.get(key)
        if known is not None:
            return known
        starts = (hits.places[part] - base).tolist()
        found = self._verify(words, starts, hits.lengths[part].tolist(), hits.grams[part].tolist())
        if not found:
            return None
        number = self._known[key] = len(self._known)
        self._documents.extend([number] * len(found))
        self._occurrences.extend(found)
        self._counts[np.unique(self._index.grams_of(np.array(found)))] += 1
        return number

    def _verify(self, words: list[str], starts: list[int], lengths: list[int], grams: list[int]) -> list[int]:
        """The occurrences with the same words, one per hit; runs of hits are compared as one span."""
        firsts, units, offsets = self._index.firsts, self._index.units, self._index.offsets
        chosen = [int(firsts[gram]) for gram in grams]
        spots = [(int(units[one]), int(offsets[one])) for one in chosen]
        found: list[int] = []
        run = 0
        for k in range(1, len(starts) + 1):
            if k < len(starts) and lengths[k] == lengths[run]:
                ahead = starts[k] - starts[run]
                if ahead == k - run and spots[k] == (spots[run][0], spots[run][1] + ahead):
                    continue
            stop = starts[k - 1] + lengths[run]
            is_gram = int(self._index.unit_lengths[spots[run][0]]) == lengths[run]
            if is_gram and self._words.at(chosen[run], stop - starts[run]) == words[starts[run] : stop]:
                found.extend(chosen[run:k])
            else:
                found.extend(self._verify_singly(words, starts[run:k], lengths[run], grams[run:k]))
            run = k
        return found

    def _verify_singly(self, words: list[str], starts: list[int], length: int, grams: list[int]) -> list[int]:
        # Different n-grams with the same hash are among the same occurrences: any of them may match.
        found = []
        for start, gram in zip(starts, grams, strict=True):
            wanted = words[start : start + length]
            candidates = range(int(self._index.firsts[gram]), int(self._index.firsts[gram + 1]))
            found.extend([one for one in candidates if self._is(one, wanted)][:1])
        return found

    def _is(self, occurrence: int, wanted: list[str]) -> bool:
        unit = int(self._index.units[occurrence])
        return int(self._index.unit_lengths[unit]) == len(wanted) and self._words.at(occurrence, len(wanted)) == wanted
