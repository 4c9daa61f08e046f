"""Rolling hashes of many windows at once, and a bit filter for what is not in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

UInt64 = NDArray[np.uint64]
Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

_BASE = 0xD1342543DE82EF95  # odd, so that it has an inverse modulo 2^64
_SIZE_STEP = 1 << 20
_BITS_PER_ENTRY = 5  # 2^5 bits per entry: three in a hundred absent hashes pass
_MAX_FILTER_BITS = 31  # 256 MiB


def ranges(sizes: NDArray[np.generic]) -> Int64:
    """The starts of runs with these sizes, and the end of the last one.

    >>> ranges(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    bounds = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=bounds[1:])
    return bounds


def expand(starts: Int64, sizes: Int64) -> Int64:
    """The numbers of several ranges in one array.

    >>> expand(np.array([7, 0]), np.array([3, 2])).tolist()
    [7, 8, 9, 0, 1]
    """
    offsets = ranges(sizes)
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1] - starts, sizes)


def smallest(parts: Sequence[UInt64], most: int, limit: int) -> tuple[UInt64, int]:
    """The smallest hashes of several arrays, in order and each once, and the largest value that could still be one.

    >>> smallest([np.array([7, 3, 9], dtype=np.uint64), np.array([3, 1], dtype=np.uint64)], 3, 99)
    (array([1, 3, 7], dtype=uint64), 7)
    """
    hashes = np.unique(np.concatenate(parts))
    return (hashes[:most], int(hashes[most - 1])) if len(hashes) > most else (hashes, limit)


@dataclass(frozen=True, slots=True, eq=False)
class PrefixSums:
    """Sums of ``value[j] · base^j`` modulo 2^64, from which any window's polynomial hash is one subtraction away.

    Attributes:
        sums: Sum of the first k values, shape [n + 1].
    """

    sums: UInt64

    def between(self, starts: Int64, stops: Int64) -> UInt64:
        """The hash of each window ``starts[k]:stops[k]``, independent of its place."""
        _, inverses = _powers(len(self.sums))
        return (self.sums[stops] - self.sums[starts]) * inverses[starts]

    def windows(self, length: int) -> UInt64:
        """The hash of every window of a length, by the place of its start."""
        count = max(0, len(self.sums) - length)
        _, inverses = _powers(len(self.sums))
        return (self.sums[length:] - self.sums[:count]) * inverses[:count]


def prefix_sums(values: UInt64) -> PrefixSums:
    """Prepares the hashes of all windows of an array.

    >>> sums = prefix_sums(np.array([5, 6, 7, 5, 6], dtype=np.uint64))
    >>> two = sums.windows(2)
    >>> (two[0] == two[3]).item(), len(set(two.tolist()))
    (True, 3)
    """
    sums = np.zeros(len(values) + 1, dtype=np.uint64)
    np.cumsum(values * _powers(len(values))[0][: len(values)], out=sums[1:])
    return PrefixSums(sums)


def _powers(size: int) -> tuple[UInt64, UInt64]:
    return _power_tables(-(-max(1, size) // _SIZE_STEP) * _SIZE_STEP)


@lru_cache(maxsize=2)
def _power_tables(size: int) -> tuple[UInt64, UInt64]:
    """Powers of the base and of its inverse modulo 2^64, each of shape [size]."""
    return _power_table(_BASE, size), _power_table(pow(_BASE, -1, 2**64), size)


def _power_table(base: int, size: int) -> UInt64:
    factors = np.full(size, base, dtype=np.uint64)
    factors[0] = 1
    return np.cumprod(factors)


@dataclass(frozen=True, slots=True, eq=False)
class BitFilter:
    """Excludes most hashes that are not in a table, with one read of a bit array.

    Attributes:
        bits: The bit array, shape [2^k / 8].
        shift: 64 - k.
    """

    bits: NDArray[np.uint8]
    shift: int

    def may_hold(self, hashes: UInt64) -> Bool:
        """False if a hash is certainly absent."""
        slots = hashes >> np.uint64(self.shift)
        found = self.bits[slots >> np.uint64(3)] >> (slots & np.uint64(7)).astype(np.uint8)
        held: Bool = (found & np.uint8(1)).astype(np.bool_)
        return held


def make_filter(hashes: UInt64) -> BitFilter:
    """A filter of these hashes.

    >>> few = make_filter(np.array([1 << 60, 3 << 60], dtype=np.uint64))
    >>> few.may_hold(np.array([1 << 60, 2 << 60, 3 << 60], dtype=np.uint64)).tolist()
    [True, False, True]
    """
    size_bits = min(_MAX_FILTER_BITS, max(10, len(hashes).bit_length() + _BITS_PER_ENTRY))
    bits = np.zeros(1 << (size_bits - 3), dtype=np.uint8)
    slots = hashes >> np.uint64(64 - size_bits)
    np.bitwise_or.at(bits, slots >> np.uint64(3), np.uint8(1) << (slots & np.uint64(7)).astype(np.uint8))
    return BitFilter(bits, 64 - size_bits)
