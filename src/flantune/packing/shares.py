"""Which process trains on which micro-batch of a step: even work, computed identically by every process."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flantune.packing.bins import widths
from flantune.packing.packs import DecoderPack, TargetTokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flantune.packing.bins import Rows
    from flantune.packing.packs import Pack
    from flantune.types import Int32

HIDDEN_SIZE = 1024
"""Assumed if the model's is unknown."""
ATTENTION_SPAN = 6
"""Attention costs as much as all linear layers together if a row has this many times the hidden size in positions."""
GOOD_BALANCE = 0.9
"""Micro-batches are divided until the busiest process has at most a tenth more work than the mean."""


def layout_cost(rows: int, sides: Sequence[int], *, hidden_size: int = HIDDEN_SIZE) -> int:
    """Work of rows of these widths: linear in the positions, and attention's square of the width on top.

    Cross attention of an encoder-decoder costs the product of the sides. A whole number, so that every machine computes
    the same; only ratios are meaningful.

    >>> layout_cost(2, [600], hidden_size=100), layout_cost(4, [300], hidden_size=100)
    (1440000, 1080000)
    """
    linear = ATTENTION_SPAN * hidden_size * sum(sides)
    pairs = sum(width * width for width in sides) + (sides[0] * sides[1] if len(sides) > 1 else 0)
    return rows * (linear + pairs)


def pack_cost(pack: Pack, *, hidden_size: int = HIDDEN_SIZE, is_padded: bool = True) -> int:
    """Work of a laid-out micro-batch: ``layout_cost`` of its rows or, without padding, of each prompt alone."""
    sides = [pack.segments] if isinstance(pack, DecoderPack) else [pack.encoder_segments, pack.decoder_contexts]
    if is_padded:
        return layout_cost(len(sides[0]), [side.shape[1] for side in sides], hidden_size=hidden_size)
    return sum(_costs_alone(_prompt_sizes(sides), hidden_size))


def _prompt_sizes(sides: Sequence[Int32]) -> NDArray[np.int64]:
    """Tokens of each prompt on each side, [prompts, sides], from the number of each token's prompt in its row."""
    rows, most = len(sides[0]), 1 + max(int(side.max(initial=0)) for side in sides)
    names = [(np.arange(rows)[:, None] * most + side)[side > 0] for side in sides]
    sizes = np.stack([np.bincount(name, minlength=rows * most) for name in names], axis=1)
    found: NDArray[np.int64] = sizes[sizes.any(axis=1)]
    return found


def _costs_alone(sizes: NDArray[np.integer[Any]], hidden_size: int) -> list[int]:
    """Work of each prompt in a separate row."""
    return [layout_cost(1, size, hidden_size=hidden_size) for size in sizes.tolist()]


def assign(costs: Sequence[int], processes: int, *, in_rounds: bool = False) -> list[list[int]]:
    """Which process gets which micro-batch: the costliest first, each to the process with the least work.

    >>> assign([5, 4, 3, 3, 3], 2)
    [[0, 3], [1, 2, 4]]
    >>> assign([9, 4, 3, 3], 2), assign([9, 4, 3, 3], 2, in_rounds=True)
    ([[0], [1, 2, 3]], [[0, 3], [1, 2]])

    Args:
        costs: Work of each micro-batch.
        processes: Number of processes.
        in_rounds: No process gets a second one before all have a first: for processes that must run their
            micro-batches in step.

    Returns:
        Numbers of micro-batches by process: in rising order, or, in rounds, in the order of the rounds.
    """
    shares: list[list[int]] = [[] for _ in range(processes)]
    loads = [0] * processes
    order = sorted(range(len(costs)), key=lambda at: (-costs[at], at))
    for place, number in enumerate(order):
        full = place // processes if in_rounds else len(costs)
        open_ = [at for at in range(processes) if len(shares[at]) <= full]
        least = min(open_, key=lambda at: (loads[at], at))
        shares[least].append(number)
        loads[least] += costs[number]
    return shares if in_rounds else [sorted(share) for share in shares]


def balance(costs: Sequence[int], shares: Sequence[Sequence[int]]) -> float:
    """Mean work of the processes over the work of the busiest: 1 when none waits.

    >>> balance([5, 4, 3], [[0], [1, 2]])
    0.8571428571428571
    """
    loads = [sum(costs[at] for at in share) for share in shares]
    return sum(loads) / (len(loads) * max(loads)) if max(loads) else 1.0


def cut_finer(
    groups: Sequence[Rows], sizes: Int32, *, processes: int, hidden_size: int = HIDDEN_SIZE, is_padded: bool = True
) -> list[Rows]:
    """Micro-batches divided into halves, by rows, if that lets several processes share the work evenly.

    For a single process nothing changes. The prompts, and so the gradient, stay the same.

    >>> cut_finer([[[0], [1], [2], [3]]], np.full((4, 1), 100), processes=2)
    [[[0], [1]], [[2], [3]]]

    Args:
        groups: Micro-batches of rows of indices into ``sizes``.
        sizes: Tokens of each prompt, [prompts, sides].
        processes: How many processes share them.
        hidden_size: The model's.
        is_padded: Whether the model computes padding.
    """
    cut = [list(group) for group in groups]
    alone = [] if is_padded else _costs_alone(sizes, hidden_size)
    while processes > 1:
        costs = [
            _group_cost(group, sizes, hidden_size) if is_padded else sum(alone[at] for row in group for at in row)
            for group in cut
        ]
        shares = assign(costs, processes)
        if balance(costs, shares) >= GOOD_BALANCE:
            break
        busiest = max(shares, key=lambda share: sum(costs[at] for at in share))
        divisible = [at for at in busiest if len(cut[at]) > 1]
        if not divisible:
            break
        at = max(divisible, key=lambda number: (costs[number], -number))
        middle = (len(cut[at]) + 1) // 2
        cut[at : at + 1] = [cut[at][:middle], cut[at][middle:]]
    return cut


def filler(pack: Pack) -> Pack:
    """The micro-batch without targets: a pass that adds nothing to loss and gradient.

    Processes that hold parts of one model run their passes in step; one with fewer micro-batches runs this.
    """
    nothing = np.zeros(0, dtype=np.int32)
    return replace(pack, targets=TargetTokens(row=nothing, position=nothing, token=nothing, item=nothing))


def _group_cost(group: Rows, sizes: Int32, hidden_size: int) -> int:
    return layout_cost(len(group), widths(sizes, group).max(axis=0).tolist(), hidden_size=hidden_size)
