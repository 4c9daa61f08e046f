"""The plan by which segments of a flat line are computed in chunks of padded rows; made once per micro-batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flantune.models.transfer import on_device

CHUNK_CELLS = 2**18
"""Attention scores computed at once on a CPU: half a MiB in bfloat16, which fits in a core's cache."""
CHUNK_CELLS_ON_ACCELERATORS = 2**26
"""The same on accelerators: 128 MiB in bfloat16, so that each operation outlasts the launch of the next one."""
CPU = torch.device("cpu")
KEPT_PLANS = 64
"""How many plans are cached; a plan is used in every layer, forward and backward."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Where the queries (or keys) of a chunk are in the flat line and in the padded rows.

    Attributes:
        length: Length of a padded row.
        real: Index of each token in the flat line, [n]; None when they are ``start`` to ``start + count``.
        start: Index of the first.
        count: How many there are, padding excluded.
        places: Index of each token in the padded rows, joined end to end, [n]; None without padding.
    """

    length: int
    real: Tensor | None
    start: int
    count: int
    places: Tensor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Segments of similar length whose scores are computed together.

    Attributes:
        rows: How many segments.
        query: Where the queries are.
        key: Where the keys are.
        key_lengths: Keys of each segment; empty when no row has padding.
        is_padding: Which keys are padding, [rows, 1, 1, keys]; None without padding, and on a CPU, where
            ``key_lengths`` is used.
        mutual: How many tokens at the start of each segment attend to each other under a causal rule, [rows]; None:
            none do.
    """

    rows: int
    query: Side
    key: Side
    key_lengths: tuple[int, ...]
    is_padding: Tensor | None = None
    mutual: Tensor | None = None

    @property
    def cells(self) -> int:
        """Number of scores per head, padding included."""
        return self.rows * self.query.length * self.key.length


def padded_length(length: int) -> int:
    """The length to which a segment is padded on a CPU; one of few, so that few shapes occur.

    oneDNN compiles a program for each new shape, which takes half a millisecond and 0.7 MB (measured); unpadded
    prompts would have thousands of shapes.

    >>> [padded_length(length) for length in (1, 33, 128, 129, 300, 513)]
    [32, 64, 128, 192, 320, 640]
    """
    step = 32 if length <= 128 else 64 if length <= 512 else 128
    return step * -(-length // step)


def doubled_length(length: int) -> int:
    """The length to which a segment is padded on an accelerator: fewer shapes, since launches cost more than padding.

    >>> [doubled_length(length) for length in (1, 33, 128, 129, 300, 513)]
    [32, 64, 128, 256, 512, 1024]
    """
    return max(32, 1 << (length - 1).bit_length())


def plan_of(
    cu_query: Tensor, cu_key: Tensor, heads: int, mutual: Tensor | None = None, device: torch.device = CPU
) -> tuple[Chunk, ...]:
    """The chunks of a line of segments, longest first; segments without queries or keys are left out.

    >>> ends = torch.tensor([0, 3, 5, 8, 8, 48], dtype=torch.int32)
    >>> [(chunk.rows, chunk.query.length) for chunk in plan_of(ends, ends, 1)]
    [(1, 64), (2, 32), (1, 32)]

    Args:
        cu_query: Start of each segment's queries, and the end of the last, int32, [segments + 1].
        cu_key: Likewise for keys.
        heads: Attention heads.
        mutual: How many tokens at the start of each segment attend to each other, int32, [segments]; None: none do.
        device: The device of the tokens; the arguments are on the CPU.
    """
    known = None if mutual is None else mutual.numpy().tobytes()
    return _plan(cu_query.numpy().tobytes(), cu_key.numpy().tobytes(), heads, known, device)


@lru_cache(maxsize=KEPT_PLANS)
def _plan(cu_query: bytes, cu_key: bytes, heads: int, mutual: bytes | None, device: torch.device) -> tuple[Chunk, ...]:
    length = padded_length if device.type == "cpu" else doubled_length
    starts = [np.frombuffer(ends, dtype=np.int32).astype(np.int64) for ends in (cu_query, cu_key)]
    lengths = [np.diff(ends) for ends in starts]
    both_ways = None if mutual is None else np.frombuffer(mutual, dtype=np.int32)
    classes: dict[tuple[int, int], list[int]] = {}
    for segment in np.flatnonzero((lengths[0] > 0) & (lengths[1] > 0)):
        shape = length(int(lengths[1][segment])), length(int(lengths[0][segment]))
        classes.setdefault(shape, []).append(int(segment))
    chunks = (
        _chunk(np.array(members), (query, key), starts, lengths, both_ways, device)
        for (key, query), alike in sorted(classes.items(), reverse=True)
        for members in _members(alike, query * key * heads, device)
    )
    return tuple(chunks)


def _members(alike: list[int], cells: int, device: torch.device) -> Iterator[list[int]]:
    """Segments of one shape, divided into chunks; ``cells`` is the number of scores of one segment."""
    if device.type == "cpu":
        return _portions(alike, CHUNK_CELLS // cells)
    limit = max(1, CHUNK_CELLS_ON_ACCELERATORS // cells)
    return (alike[start : start + limit] for start in range(0, len(alike), limit))


def _portions(members: list[int], limit: int) -> Iterator[list[int]]:
    """Cuts a list into parts of at most ``limit`` (at least 1), whose sizes are powers of two so that few sizes occur.

    >>> list(_portions([1, 2, 3, 4, 5, 6, 7], 4))
    [[1, 2, 3, 4], [5, 6], [7]]
    """
    size = 1 << max(0, limit.bit_length() - 1)
    while members:
        while size > len(members):
            size //= 2
        yield members[:size]
        members = members[size:]


def _chunk(
    members: NDArray[np.int64],
    shape: tuple[int, int],
    starts: list[NDArray[np.int64]],
    lengths: list[NDArray[np.int64]],
    mutual: NDArray[np.int32] | None,
    device: torch.device,
) -> Chunk:
    query, key = (
        _side(begins[members], sizes[members], length, device)
        for begins, sizes, length in zip(starts, lengths, shape, strict=True)
    )
    key_lengths: tuple[int, ...] = () if key.places is None else tuple(lengths[1][members].tolist())
    is_padding = None
    if key_lengths and device.type != "cpu":
        is_padding = on_device(torch.arange(key.length) >= torch.tensor(key_lengths)[:, None], device)[:, None, None]
    return Chunk(
        rows=len(members),
        query=query,
        key=key,
        key_lengths=key_lengths,
        is_padding=is_padding,
        mutual=None if mutual is None else on_device(torch.from_numpy(mutual[members]), device),
    )


def _side(starts: NDArray[np.int64], sizes: NDArray[np.int64], length: int, device: torch.device) -> Side:
    count = int(sizes.sum())
    within = np.arange(count) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    real = np.repeat(starts, sizes) + within
    places = np.repeat(np.arange(len(sizes)) * length, sizes) + within
    is_stretch = bool((np.diff(real) == 1).all())
    return Side(
        length=length,
        real=None if is_stretch else on_device(torch.from_numpy(real), device),
        start=int(real[0]),
        count=count,
        places=None if count == length * len(sizes) else on_device(torch.from_numpy(places), device),
    )
