"""Which leaf of the mixture a draw goes to, and the number of that visit: a formula, with nothing stored."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple, Protocol

import numpy as np

from flantune.mixture.permutation import Int64, UInt64, mix64_array, permute, permute_array
from flantune.system.keyed_random import mix64, stream_key

PERIOD = 1 << 31
"""Draws in which fractional shares are met exactly, to one draw in two billion."""
STEP = 1_327_217_885
"""PERIOD divided by the golden ratio, made odd: multiples of it are spread over the period more evenly than those of
any other number."""
BLOCK = 4_096
"""Draws that are shuffled together, so that their order has no pattern."""


class Visit(NamedTuple):
    """The index of a draw's leaf, and how many earlier draws (in the order of visits) went to that leaf."""

    leaf: int
    number: int


class Visits(NamedTuple):
    """The same for many draws, as arrays of shape [n]."""

    leaf: Int64
    number: Int64


class Schedule(Protocol):
    """How draws are assigned to leaves. The visits to a leaf are numbered from 0, each number once."""

    def visit(self, index: int) -> Visit:
        """Where the draw of this number goes."""

    def visits(self, index: Int64) -> Visits:
        """Where several go, many times faster."""


class Cycles:
    """Cycles with a whole number of draws per leaf: in each cycle every leaf gets its quota, in shuffled order.

    Args:
        quotas: Draws of each leaf in a cycle.
        seed: Seed of the shuffles.
    """

    def __init__(self, quotas: Sequence[int], *, seed: int) -> None:
        self._ends = list(accumulate(quotas))
        self._quotas, self._end_array = np.array(quotas, dtype=np.int64), np.array(self._ends, dtype=np.int64)
        self.length = self._ends[-1]
        self._stream = stream_key(seed, "cycle")

    def visit(self, index: int) -> Visit:
        """Where the draw of this number goes."""
        cycle, offset = divmod(index, self.length)
        place = permute(offset, self.length, mix64(self._stream, cycle))
        leaf = bisect_right(self._ends, place)
        quota = int(self._quotas[leaf])
        return Visit(leaf, cycle * quota + place - (self._ends[leaf] - quota))

    def visits(self, index: Int64) -> Visits:
        """Where several go."""
        cycle, offset = np.divmod(index, self.length)
        place = permute_array(offset, self.length, mix64_array(self._stream, cycle))
        leaf = np.searchsorted(self._end_array, place, side="right")
        quota = self._quotas[leaf]
        return Visits(leaf, cycle * quota + place - (self._end_array[leaf] - quota))


class EvenSpread:
    """Arbitrary shares: each leaf's draws are spread as evenly as possible, and shuffled within small blocks.

    Leaves divide a circle of ``PERIOD`` places among them by their weights; draw k is at place k · ``STEP``, so that
    each place is visited once in a period, and in any run of draws a leaf gets its share to within a few draws. The
    number of earlier visits to a leaf is a sum of rounded-down multiples, which a variant of Euclid's algorithm
    computes in a few dozen steps.

    Args:
        weights: Places of each leaf; together ``PERIOD``.
        seed: Seed of the shuffles.
    """

    def __init__(self, weights: Sequence[int], *, seed: int) -> None:
        self._ends = list(accumulate(weights))
        if self._ends[-1] != PERIOD:
            raise ValueError(f"the weights add up to {self._ends[-1]}, not to {PERIOD}")
        self._starts = [0, *self._ends[:-1]]
        self._end_array = np.array(self._ends, dtype=np.int64)
        self._start_array = np.array(self._starts, dtype=np.int64)
        self._stream = stream_key(seed, "spread")
        self._first = self._stream % PERIOD

    def visit(self, index: int) -> Visit:
        """Where the draw of this number goes."""
        block, offset = divmod(index, BLOCK)
        step = block * BLOCK + permute(offset, BLOCK, mix64(self._stream, block))
        period, step = divmod(step, PERIOD)
        leaf = bisect_right(self._ends, (step * STEP + self._first) % PERIOD)
        start, end = self._starts[leaf], self._ends[leaf]
        before = rounded_sum(step, self._first + PERIOD - start) - rounded_sum(step, self._first + PERIOD - end)
        return Visit(leaf, period * (end - start) + before)

    def visits(self, index: Int64) -> Visits:
        """Where several go."""
        block, offset = np.divmod(index, BLOCK)
        step = block * BLOCK + permute_array(offset, BLOCK, mix64_array(self._stream, block))
        period, step = np.divmod(step, PERIOD)
        leaf = np.searchsorted(self._end_array, (step * STEP + self._first) % PERIOD, side="right")
        start, end = self._start_array[leaf], self._end_array[leaf]
        before = rounded_sums(step, self._first + PERIOD - start) - rounded_sums(step, self._first + PERIOD - end)
        return Visits(leaf, period * (end - start) + before.astype(np.int64))


def whole_weights(shares: Sequence[float]) -> list[int]:
    """Shares as whole numbers of ``PERIOD`` places, at least one each, by the method of largest remainders.

    >>> [weight / PERIOD for weight in whole_weights([0.5, 0.25, 0.25])]
    [0.5, 0.25, 0.25]
    """
    exact = [share * PERIOD for share in shares]
    found = [max(1, int(places)) for places in exact]
    missing = PERIOD - sum(found)
    if missing < 0:  # leaves of less than a place get one, at the expense of the largest
        found[found.index(max(found))] += missing
    for at in sorted(range(len(shares)), key=lambda at: found[at] - exact[at])[: max(0, missing)]:
        found[at] += 1
    return found


def rounded_sum(count: int, offset: int) -> int:
    """The sum of (k · STEP + offset) // PERIOD for k below ``count``.

    >>> rounded_sum(3, 5) == sum((k * STEP + 5) // PERIOD for k in range(3))
    True
    """
    total, step, period = 0, STEP, PERIOD
    while count:
        total += count * (count - 1) // 2 * (step // period) + count * (offset // period)
        step, offset = step % period, offset % period
        count, offset = divmod(step * count + offset, period)
        step, period = period, step
    return total


def rounded_sums(counts: Int64, offsets: Int64) -> UInt64:
    """``rounded_sum`` for each element, modulo 2^64."""
    count, offset = counts.astype(np.uint64), offsets.astype(np.uint64)
    total = np.zeros(len(count), dtype=np.uint64)
    step, period, one = STEP, PERIOD, np.uint64(1)
    while count.any():
        whole, divisor = np.uint64(step // period), np.uint64(period)
        pairs = np.where(count > 0, count * (count - one), np.uint64(0)) // np.uint64(2)
        total += pairs * whole + count * (offset // divisor)
        step, offset = step % period, offset % divisor
        count, offset = np.divmod(np.uint64(step) * count + offset, divisor)
        step, period = period, step
    return total
