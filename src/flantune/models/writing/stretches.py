"""Which prompts to read in one pass: those of similar length, since all are padded to the longest of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def stretches(lengths: Sequence[int], *, pass_cost: int) -> list[tuple[int, int]]:
    """Divides prompts into stretches to be read in one pass each, so that the total cost is lowest.

    >>> stretches([300, 290, 120, 110, 100], pass_cost=24)
    [(0, 2), (2, 5)]
    >>> stretches([9, 8, 5], pass_cost=24)
    [(0, 3)]

    Args:
        lengths: Number of tokens of each prompt, ordered so that similar lengths are neighbors.
        pass_cost: Array positions that another pass must save.

    Returns:
        Start and end of each stretch.
    """
    size = np.array(lengths, dtype=np.int64)
    # For each position, the lowest cost from there on, and the end of the first stretch.
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
