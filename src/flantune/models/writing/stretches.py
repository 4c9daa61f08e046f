"""Prompts that are read together are filled up to the longest of them, so those of like length are read together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def stretches(lengths: Sequence[int], *, pass_cost: int) -> list[tuple[int, int]]:
    """Neighbors to read together: where each stretch begins and ends, such that all passes together cost least.

    >>> stretches([300, 290, 120, 110, 100], pass_cost=24)
    [(0, 2), (2, 5)]
    >>> stretches([9, 8, 5], pass_cost=24)
    [(0, 3)]

    Args:
        lengths: Tokens of each prompt, in an order in which those of like length are neighbors.
        pass_cost: Array positions that one more pass must save.
    """
    size = np.array(lengths, dtype=np.int64)
    # The least that all from each place on cost, and where the first stretch of them ends.
    least, ends = np.zeros(len(size) + 1, dtype=np.int64), np.zeros(len(size), dtype=np.int64)
    for start in reversed(range(len(size))):
        widths = np.maximum.accumulate(size[start:])
        costs = pass_cost + widths * np.arange(1, len(widths) + 1) + least[start + 1 :]
        best = int(costs.argmin())
        least[start], ends[start] = costs[best], start + 1 + best
    found, start = list[tuple[int, int]](), 0
    while start < len(size):
        found.append((start, int(ends[start])))
        start = found[-1][1]
    return found
