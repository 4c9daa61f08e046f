"""Which leaf of the mixture a draw goes to, and the how-many-th visit to it that is: a formula, with nothing stored."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple, Protocol

import numpy as np

from flantune.mixture.permutation import Int64, UInt64, mix64_array, permute, permute_array
from flantune.system.keyed_random import mix64, stream_key

PERIOD = 1 << 31
"""Draws in which shares that are not whole numbers are met exactly: to one draw in two thousand million."""
STEP = 1_327_217_885
"""PERIOD divided by the golden ratio, made odd: multiples of it spread over the period more evenly than any other's."""
BLOCK = 4_096
"""Draws that are shuffled among each other, so that their order has no pattern."""


class Visit(NamedTuple):
    """A draw's leaf, by its number, and how many draws before it (in the order of visits) went to that leaf."""

    leaf: int
    number: int


class Visits(NamedTuple):
    """The same for many draws, as arrays of shape [n]."""

    leaf: Int64
    number: Int64


class Schedule(Protocol):
    """How draws are dealt out to leaves. The visits to a leaf are numbered from 0, each number once."""

    def visit(self, index: int) -> Visit:
        """Where the draw of this number goes."""

    def visits(self, index: Int64) -> Visits:
        """Where several go, many times faster."""


class Cycles:
    """Whole numbers of draws a leaf in cycles: in each of them every leaf has its quota, in shuffled order.

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
    """Any shares at all: each leaf's draws lie as evenly among the others' as can be, shuffled within small blocks.

    Leaves lie side by side on a circle of ``PERIOD`` places, as wide as their weights; draw k is at place k · ``STEP``,
    so that in a period each place is met once, and in any run of draws a leaf has its share to within a few. How many
    visits a leaf had before is a sum of rounded-down multiples, which Euclid's algorithm adds up in a few dozen steps.

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
    """Shares as whole numbers of ``PERIOD`` places, at least one each: rounded down, what is left to the largest rests.

    >>> [weight / PERIOD for weight in whole_weights([0.5, 0.25, 0.25])]
    [0.5, 0.25, 0.25]
    """
    exact = [share * PERIOD for share in shares]
    found = [max(1, int(places)) for places in exact]
    missing = PERIOD - sum(found)
    if missing < 0:  # leaves of less than a place have one: the largest does not feel it
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
