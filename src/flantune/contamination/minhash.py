"""MinHash signatures in bands: rows that share most of their shingles nearly always have a bucket in common.

Paper: Broder, "On the resemblance and containment of documents" (1997).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from flantune.contamination.hashing import Int64, UInt64
from flantune.mixture.permutation import mix64_array, scramble_array
from flantune.system.keyed_random import stream_key

_MAX_VALUES = 96
_WANTED_RECALL = 0.999
_CHUNK_SHINGLES = 1 << 18


@dataclass(frozen=True, slots=True)
class Bands:
    """The division of signatures into bands: two rows have a common bucket if all values of a band are equal.

    Attributes:
        count: Bands per row.
        width: Values per band.
    """

    count: int
    width: int

    def recall(self, jaccard: float) -> float:
        """The probability that two rows with this Jaccard index have a common bucket.

        >>> round(Bands(24, 4).recall(0.8), 6), round(Bands(24, 4).recall(0.3), 2)
        (0.999997, 0.18)
        """
        return 1 - (1 - jaccard**self.width) ** self.count


def choose_bands(jaccard: float) -> Bands:
    """The widest bands that still find 999 of 1,000 pairs at the threshold: wider ones need fewer comparisons.

    >>> choose_bands(0.8), choose_bands(0.5)
    (Bands(count=19, width=5), Bands(count=48, width=2))
    """
    for width in range(12, 0, -1):
        bands = Bands(_MAX_VALUES // width, width)
        if bands.recall(jaccard) >= _WANTED_RECALL:
            return bands
    return Bands(_MAX_VALUES, 1)


def band_keys(shingles: UInt64, firsts: Int64, *, bands: Bands, seed: int) -> NDArray[np.uint64]:
    """The bucket of each row and band, [rows, bands]: a hash of the band's number and its MinHash values.

    Args:
        shingles: Hashes of the rows' shingles, shape [shingles]; may contain duplicates.
        firsts: Where each row's shingles start, and the end, shape [rows + 1]; no row may be empty.
        bands: The division into bands.
        seed: Seed of the hash functions.
    """
    keys = np.empty((len(firsts) - 1, bands.count), dtype=np.uint64)
    base = stream_key(seed, "minhash")
    for start, stop in _parts(firsts):
        part = shingles[firsts[start] : firsts[stop]]
        bounds = firsts[start:stop] - firsts[start]
        for band in range(bands.count):
            values = [
                np.minimum.reduceat(_hash(part, base, band * bands.width + k), bounds) for k in range(bands.width)
            ]
            keys[start:stop, band] = mix64_array(band, *values)
    return keys


def _hash(shingles: UInt64, base: int, number: int) -> UInt64:
    # Shingle hashes are random already, so combining them with a constant and scrambling gives a new hash function.
    return scramble_array(shingles ^ mix64_array(base, number))


def _parts(firsts: Int64) -> list[tuple[int, int]]:
    """Ranges of rows with a bounded number of shingles each, at least one row per range."""
    borders = [0]
    rows = len(firsts) - 1
    while borders[-1] < rows:
        limit = firsts[borders[-1]] + _CHUNK_SHINGLES
        borders.append(max(borders[-1] + 1, int(np.searchsorted(firsts, limit, side="right")) - 1))
    return list(pairwise(borders))
