"""From matches to rows: which measured rows share n-grams with which training rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flantune.contamination.hashing import Int64, expand
from flantune.contamination.ngrams import UnitWords
from flantune.contamination.overlap import Matches

_CHUNK_LINKS = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Links:
    """Measured units and the training documents they overlap with, verified.

    Attributes:
        units: Unit of each link, sorted, shape [links].
        documents: Document of each link, shape [links].
        train_rows: Training rows that overlap, sorted, shape [rows].
        common_only_rows: Measured rows that only share n-grams that are too common, sorted.
    """

    units: Int64
    documents: Int64
    train_rows: Int64
    common_only_rows: Int64


def link(matches: Matches) -> Links:
    """Every measured unit with each document it shares an n-gram with, except too common ones."""
    index = matches.index
    grams = index.grams_of(matches.occurrences)
    is_kept = np.ones(len(grams), dtype=np.bool_)
    if matches.max_documents is not None:
        is_kept = matches.counts[grams] <= matches.max_documents
    words = UnitWords(index)
    pairs = [_verified(matches, words, chosen) for chosen in _chunks(matches, np.flatnonzero(is_kept), grams)]
    joined = np.concatenate(pairs) if pairs else np.empty((0, 2), dtype=np.int64)
    joined = np.unique(joined, axis=0)
    has_kept = np.unique(matches.documents[is_kept])
    rows = np.unique(index.unit_rows[joined[:, 0]].astype(np.int64))
    return Links(
        units=joined[:, 0],
        documents=joined[:, 1],
        train_rows=np.unique(matches.rows[np.isin(matches.row_documents, has_kept)]),
        common_only_rows=np.setdiff1d(_rows_of_grams(matches, np.unique(grams[~is_kept])), rows),
    )


def _rows_of_grams(matches: Matches, grams: Int64) -> Int64:
    index = matches.index
    occurrences = expand(index.firsts[grams], index.firsts[grams + 1] - index.firsts[grams])
    return np.unique(index.unit_rows[index.units[occurrences]].astype(np.int64))


def _chunks(matches: Matches, kept: Int64, grams: Int64) -> Iterator[Int64]:
    """Numbers of kept matches, in parts with a bounded number of links that never divide a document."""
    if not len(kept):
        return
    part = np.cumsum(np.diff(matches.index.firsts)[grams[kept]]) // _CHUNK_LINKS
    documents = matches.documents[kept]
    # Parts end with a document: the part of its first match is the part of all of them.
    is_new = np.append(True, documents[1:] != documents[:-1])
    part = part[np.maximum.accumulate(np.where(is_new, np.arange(len(kept)), 0))]
    yield from np.split(kept, np.flatnonzero(np.diff(part)) + 1)


def _verified(matches: Matches, words: UnitWords, chosen: Int64) -> NDArray[np.int64]:
    """Pairs (unit, document) of some matches: the unit has the words of the matched occurrence, not only its hash."""
    index = matches.index
    matched = matches.occurrences[chosen]
    grams = index.grams_of(matched)
    sizes = index.firsts[grams + 1] - index.firsts[grams]
    others = expand(index.firsts[grams], sizes)
    matched, documents = np.repeat(matched, sizes), np.repeat(matches.documents[chosen], sizes)
    units = index.units[others].astype(np.int64)
    order = np.lexsort((others != matched, documents, units))
    units, documents, others, matched = units[order], documents[order], others[order], matched[order]
    is_first = np.append(True, (units[1:] != units[:-1]) | (documents[1:] != documents[:-1]))
    firsts = np.flatnonzero(is_first)
    stops = np.append(firsts[1:], len(units))
    # If the matched occurrence is the unit's own, the scan has compared the words.
    is_sure = others[firsts] == matched[firsts]
    for k in np.flatnonzero(~is_sure).tolist():
        links = range(int(firsts[k]), int(stops[k]))
        is_sure[k] = any(_same_words(matches, words, int(others[one]), int(matched[one])) for one in links)
    return np.stack([units[firsts[is_sure]], documents[firsts[is_sure]]], axis=1)


def _same_words(matches: Matches, words: UnitWords, one: int, other: int) -> bool:
    lengths = matches.index.unit_lengths[matches.index.units[[one, other]]].tolist()
    return lengths[0] == lengths[1] and words.at(one, lengths[0]) == words.at(other, lengths[1])
