"""Which prompts share a row: best-fit decreasing, then balancing of rows so that little padding is left.

A prompt's size is a vector: its tokens in a decoder-only row, or its tokens on the encoder's and on the decoder's
side. A row holds at most ``capacity`` tokens on each side, and rows are as wide as the fullest of them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from functools import reduce
from heapq import heapify, heappop, heappush
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flantune.types import Int32

if TYPE_CHECKING:
    from collections.abc import Sequence

Rows = list[list[int]]

PACK_COST = 128
"""Array positions that an additional micro-batch must save to be worth its overhead."""
MAX_SWAPS = 200
MAX_SWAP_PROMPTS = 400
NUDGE = 1e-6


def longest_prefix(sizes: Int32, *, max_rows: int, capacity: int, max_positions: int = 0) -> list[Rows]:
    """Micro-batches of rows with as many of the first prompts as fit, with little padding.

    Prompts are taken in order and none is skipped, so how many are taken depends only on the stream of prompts.

    >>> longest_prefix(np.array([[6], [5], [4], [5], [9]]), max_rows=2, capacity=10)
    [[[0, 2], [1, 3]]]

    Args:
        sizes: [prompts, sides]; none above the capacity.
        max_rows: Number of rows.
        capacity: Tokens of a row, on each side.
        max_positions: Array positions of a micro-batch; 0: no limit.

    Returns:
        Micro-batches of rows of indices into ``sizes``; together they hold 0, 1, … up to the last that fits.
    """
    totals = np.cumsum(sizes, axis=0).max(axis=1)
    count = int(np.searchsorted(totals, max_rows * capacity, side="right"))
    while count > 0:
        first = sizes[:count]
        layouts = fitting_rows(first, max_rows=max_rows, capacity=capacity)
        if layouts:
            groups = [micro_batches(first, rows, max_positions=max_positions) for rows in layouts]
            return min(groups, key=lambda group: _cost(first, group))
        count -= 1
    return []


def fitting_rows(sizes: Int32, *, max_rows: int, capacity: int) -> list[Rows]:
    """Arrangements of all prompts in the rows; empty if none was found.

    >>> fitting_rows(np.array([[6], [5], [4], [5]]), max_rows=2, capacity=12)[-1]
    [[0, 2], [1, 3]]
    >>> fitting_rows(np.array([[3, 4], [3, 4], [1, 4]]), max_rows=2, capacity=6)
    []

    Args:
        sizes: [prompts, sides].
        max_rows: Number of rows.
        capacity: Tokens of a row, on each side.
    """
    fit = _fit_one_side if sizes.shape[1] == 1 else _fit_two_sides
    return [sorted(sorted(row) for row in rows) for rows in fit(sizes, max_rows, capacity)]


def best_fit_decreasing(sizes: Sequence[int], capacity: int) -> Rows:
    """Rows of at most ``capacity`` tokens: each prompt, longest first, goes where it leaves the least room.

    >>> best_fit_decreasing([2, 6, 5, 4, 3], 10)
    [[1, 3], [2, 4, 0]]
    """
    rows: Rows = []
    room: list[tuple[int, int]] = []
    for size, index in sorted(
        ((size, index) for index, size in enumerate(sizes)), key=lambda pair: (-pair[0], pair[1])
    ):
        at = bisect_left(room, (size, -1))
        if at < len(room):
            left, row = room.pop(at)
            rows[row].append(index)
        else:
            left, row = capacity, len(rows)
            rows.append([index])
        insort(room, (left - size, row))
    return rows


def widths(sizes: Int32, rows: Sequence[Sequence[int]]) -> Int32:
    """Tokens of each row on each side, [rows, sides].

    >>> widths(np.array([[6, 1], [5, 2], [4, 1]]), [[0, 2], [1]]).tolist()
    [[10, 2], [5, 2]]
    """
    found = np.zeros((len(rows), sizes.shape[1]), dtype=np.int32)
    np.add.at(found, np.repeat(np.arange(len(rows)), [len(row) for row in rows]), sizes[[*chain(*rows)]])
    return found


def micro_batches(sizes: Int32, rows: Sequence[Sequence[int]], *, max_positions: int = 0) -> list[Rows]:
    """Rows of similar widths together, so that each micro-batch is hardly wider than its rows.

    Of all ways to divide the rows, sorted by width, into micro-batches, the one with the fewest array positions, where
    an additional micro-batch must save ``PACK_COST`` of them.

    >>> sizes = np.array([[200], [900], [800], [300]])
    >>> micro_batches(sizes, [[0], [1], [2], [3]])
    [[[1], [2]], [[3], [0]]]

    Args:
        sizes: [prompts, sides].
        rows: Prompts of each row.
        max_positions: The most array positions in a micro-batch, which has at least one row; 0: no limit.
    """
    loads = widths(sizes, rows)
    order = np.lexsort((np.arange(len(rows)), *(-loads).T))
    cuts = _cheapest_cuts(loads[order].astype(np.int64), max_positions)
    return [[list(rows[at]) for at in order[start:end]] for start, end in pairwise(cuts)]


def even_groups(sizes: Int32, rows: Sequence[Sequence[int]], *, max_tokens: int = 0) -> list[Rows]:
    """Rows in as few micro-batches as possible, all with similar numbers of tokens on each side.

    For models that compute a micro-batch without padding: rows of different widths can then be together, and it is thin
    products (few tokens on a side) that cost time.

    >>> sizes = np.array([[500, 300], [510, 40], [505, 10], [490, 220]])
    >>> even_groups(sizes, [[0], [1], [2], [3]], max_tokens=1_400)
    [[[0], [2]], [[1], [3]]]

    Args:
        sizes: [prompts, sides].
        rows: Prompts of each row.
        max_tokens: The most tokens of both sides in a micro-batch, which has at least one row; 0: no limit.
    """
    loads = widths(sizes, rows)
    tokens = loads.sum(axis=1)
    count = -(-int(tokens.sum()) // max_tokens) if max_tokens else 1
    groups_of = _spread(loads, count)
    while max_tokens and count < len(rows) and np.bincount(groups_of, weights=tokens).max() > max_tokens:
        count += 1
        groups_of = _spread(loads, count)
    found = [np.flatnonzero(groups_of == group).tolist() for group in range(count)]
    return [[list(rows[at]) for at in members] for members in found if members]


def _cheapest_cuts(loads: NDArray[np.int64], max_positions: int) -> list[int]:
    """Where to cut a list of rows, ends included; by dynamic programming over the last cut."""
    count = len(loads)
    cost = np.zeros(count + 1)
    cut = np.zeros(count + 1, dtype=np.int64)
    for end in range(1, count + 1):
        widest = np.maximum.accumulate(loads[end - 1 :: -1])[:end]
        positions = np.arange(1, end + 1) * widest.sum(axis=1)
        whole = cost[end - 1 :: -1][:end] + positions + PACK_COST
        if max_positions > 0:
            whole[1:][positions[1:] > max_positions] = np.inf
        best = int(np.argmin(whole))
        cost[end], cut[end] = whole[best], end - 1 - best
    cuts = [count]
    while cuts[-1] > 0:
        cuts.append(int(cut[cuts[-1]]))
    return cuts[::-1]


def _cost(sizes: Int32, groups: Sequence[Rows]) -> int:
    return sum(PACK_COST + len(rows) * int(widths(sizes, rows).max(axis=0).sum()) for rows in groups)


def _fit_one_side(sizes: Int32, max_rows: int, capacity: int) -> list[Rows]:
    """Best fit at the capacity, then rows filled evenly, then best fit at the smallest width that still fits."""
    column = [int(size) for size in sizes[:, 0]]
    found = best_fit_decreasing(column, capacity)
    if len(found) > max_rows:
        return []
    even = _even_rows(column, max_rows)
    fitting = [rows for rows in (found, even) if _width(column, rows) <= capacity]
    low, high = max(max(column), -(-sum(column) // max_rows)), min(_width(column, rows) for rows in fitting)
    while low < high:
        width = (low + high) // 2
        rows = best_fit_decreasing(column, width)
        if len(rows) <= max_rows:
            high = width
            fitting.append(rows)
        else:
            low = width + 1
    return fitting[:2] + fitting[-1:] if len(fitting) > 2 else fitting


def _width(sizes: Sequence[int], rows: Rows) -> int:
    return max(sum(sizes[at] for at in row) for row in rows)


def _even_rows(sizes: Sequence[int], count: int) -> Rows:
    """Longest first, each prompt goes to the emptiest row."""
    count = min(count, len(sizes))
    rows: Rows = [[] for _ in range(count)]
    loads = [(0, row) for row in range(count)]
    heapify(loads)
    for index in sorted(range(len(sizes)), key=lambda at: (-sizes[at], at)):
        load, row = heappop(loads)
        rows[row].append(index)
        heappush(loads, (load + sizes[index], row))
    return rows


def _fit_two_sides(sizes: Int32, max_rows: int, capacity: int) -> list[Rows]:
    """Best fit and an even spread, each unchanged and (unless there are very many prompts) improved by swaps."""
    count = min(max_rows, len(sizes))
    starts = [
        found for found in (_best_fit_two_sides(sizes, max_rows, capacity), _spread(sizes, count)) if found is not None
    ]
    if len(sizes) <= MAX_SWAP_PROMPTS:
        starts += [_swap(sizes, rows_of, count) for rows_of in starts]
    layouts = [[np.flatnonzero(rows_of == row).tolist() for row in range(count)] for rows_of in starts]
    layouts = [[row for row in rows if row] for rows in layouts]
    return [rows for rows in layouts if widths(sizes, rows).max() <= capacity]


def _best_fit_two_sides(sizes: Int32, max_rows: int, capacity: int) -> Int32 | None:
    """Row of each prompt, longest first, where least room is left on the encoder's side; None if some do not fit."""
    room = [np.full(min(max_rows, len(sizes)), capacity, dtype=np.int64) for _ in range(2)]
    rows_of = np.zeros(len(sizes), dtype=np.int32)
    order = np.lexsort((np.arange(len(sizes)), -sizes.max(axis=1)))
    for index, (read, written) in zip(order.tolist(), sizes[order].tolist(), strict=True):
        left = np.minimum(room[0] - read, room[1] - written)
        # As an unsigned number, a negative one exceeds any room.
        row = int(left.view(np.uint64).argmin())
        if left[row] < 0:
            return None
        room[0][row] -= read
        room[1][row] -= written
        rows_of[index] = row
    return rows_of


def _spread(sizes: Int32, count: int) -> Int32:
    """Row of each prompt such that both sides fill evenly: largest first, to the row whose fuller side is emptiest."""
    shares = sizes / np.maximum(sizes.sum(axis=0), 1)
    loads = [np.zeros(count) for _ in shares.T]
    rows_of = np.zeros(len(sizes), dtype=np.int32)
    order = np.lexsort((np.arange(len(sizes)), -shares.max(axis=1)))
    for index, own in zip(order.tolist(), shares[order].tolist(), strict=True):
        after = [load + share for load, share in zip(loads, own, strict=True)]
        fuller = reduce(np.maximum, after)
        row = int(fuller.argmin())
        alike = np.flatnonzero(fuller == fuller[row])
        if len(alike) > 1:
            row = int(alike[reduce(np.add, after)[alike].argmin()])
        for load, grown in zip(loads, after, strict=True):
            load[row] = grown[row]
        rows_of[index] = row
    return rows_of


def _swap(sizes: Int32, rows_of: Int32, count: int) -> Int32:
    """Exchanges or moves prompts out of the widest row of either side, as long as the total width shrinks."""
    rows_of = rows_of.copy()
    loads = np.zeros((count, sizes.shape[1]))
    np.add.at(loads, rows_of, sizes)
    # A prompt is exchanged for another one, or moved to some row.
    partners = np.concatenate([sizes, np.zeros((count, sizes.shape[1]))]).T.copy()
    for _ in range(min(MAX_SWAPS, 1 + 200_000 // len(sizes)) if count > 1 else 0):
        options = [_best_exchange(partners, rows_of, loads, int(row)) for row in dict.fromkeys(loads.argmax(axis=0))]
        gain, mine, other, row = min(options)
        if gain >= -NUDGE:
            break
        source = int(rows_of[mine])
        if other < len(sizes):
            rows_of[other] = source
        rows_of[mine] = row
        for changed in (source, row):
            loads[changed] = sizes[rows_of == changed].sum(axis=0)
    return rows_of


def _best_exchange(
    partners: NDArray[np.float64], rows_of: Int32, loads: NDArray[np.float64], row: int
) -> tuple[float, int, int, int]:
    """The best exchange, as (change of cost, prompt of the row, other prompt or past the end, other row).

    The cost is the sum of the sides' widths, with a small preference for even rows to break ties.
    """
    mine = np.flatnonzero(rows_of == row)
    partner_rows = np.concatenate([rows_of, np.arange(len(loads), dtype=rows_of.dtype)])
    rest = _widest_without(loads, row)[partner_rows].T
    there = loads[partner_rows].T
    cost = np.full((len(mine), len(partner_rows)), -loads.max(axis=0).sum())
    unevenness = np.zeros_like(cost)
    # Separate arrays: those with the two sides as last axis take several times as long.
    for side, here in enumerate(loads[row]):
        delta = partners[side, mine][:, None] - partners[side]
        widest = there[side] + delta
        np.maximum(widest, here - delta, out=widest)
        np.maximum(widest, rest[side], out=widest)
        cost += widest
        # (h - d)^2 + (t + d)^2 - h^2 - t^2, for loads h here and t there, is twice this.
        unevenness += delta * (delta + (there[side] - here))
    cost += 2 * NUDGE * unevenness
    cost[:, partner_rows == row] = np.inf
    best = int(np.argmin(cost))
    first, second = divmod(best, len(partner_rows))
    return float(cost[first, second]), int(mine[first]), second, int(partner_rows[second])


def _widest_without(loads: NDArray[np.float64], row: int) -> NDArray[np.float64]:
    """For each other row, the widest of the remaining rows on each side, [rows, sides]."""
    others = loads.copy()
    others[row] = 0
    top = np.sort(others, axis=0)[-2:] if len(loads) > 1 else np.zeros((2, loads.shape[1]))
    widest: NDArray[np.float64] = np.where(others == top[1], top[0], top[1])
    return widest
