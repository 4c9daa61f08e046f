"""How segments of a flat line are laid side by side in padded rows: a plan, made once a micro-batch."""

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
"""Attention scores computed at once: in bfloat16 half a MiB, which stays in a core's cache."""
CHUNK_CELLS_ON_ACCELERATORS = 2**26
"""There each operation has to be long enough to start the next one meanwhile: 128 MiB in bfloat16."""
CPU = torch.device("cpu")
KEPT_PLANS = 64
"""Plans are made once a micro-batch and used in every layer, forward and backward."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Where the tokens of a chunk's queries (or keys) lie.

    Attributes:
        length: Length of a padded row.
        real: Index of each real token in the flat line, [n]; None for ``start`` to ``start + n``.
        start: The first of them.
        count: How many real tokens there are.
        places: Where each goes in the padded rows laid end to end, [n]; None when nothing is padded.
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
        key_lengths: Keys of each segment; empty when no row has padding.
        is_padding: Which keys are, [rows, 1, 1, keys]; None on a CPU, which goes by the lengths, and without padding.
        mutual: How many tokens at the start of each segment see each other under a causal rule, [rows]; None: none do.
    """

    rows: int
    query: Side
    key: Side
    key_lengths: tuple[int, ...]
    is_padding: Tensor | None = None
    mutual: Tensor | None = None

    @property
    def cells(self) -> int:
        """Scores of one head, padding included."""
        return self.rows * self.query.length * self.key.length


def padded_length(length: int) -> int:
    """The length that a segment is padded to. Few lengths mean few shapes.

    oneDNN makes a program for each shape it meets, which takes half a millisecond and 0.7 MB each (measured); prompts
    of all lengths would make thousands.

    >>> [padded_length(length) for length in (1, 33, 128, 129, 300, 513)]
    [32, 64, 128, 192, 320, 640]
    """
    step = 32 if length <= 128 else 64 if length <= 512 else 128
    return step * -(-length // step)


def doubled_length(length: int) -> int:
    """The length that a segment is padded to on an accelerator, where fewer operations count for more than their work.

    >>> [doubled_length(length) for length in (1, 33, 128, 129, 300, 513)]
    [32, 64, 128, 256, 512, 1024]
    """
    return max(32, 1 << (length - 1).bit_length())


def plan_of(
    cu_query: Tensor, cu_key: Tensor, heads: int, mutual: Tensor | None = None, device: torch.device = CPU
) -> tuple[Chunk, ...]:
    """The chunks of a line of segments, longest first; empty segments are passed over.

    >>> ends = torch.tensor([0, 3, 5, 8, 8, 48], dtype=torch.int32)
    >>> [(chunk.rows, chunk.query.length) for chunk in plan_of(ends, ends, 1)]
    [(1, 64), (2, 32), (1, 32)]

    Args:
        cu_query: Where each segment's queries begin, and after the last one their end, int32, [segments + 1].
        cu_key: Likewise for keys.
        heads: Attention heads.
        mutual: How many tokens at the start of each segment see each other, int32, [segments]; None: none do.
        device: Where the tokens lie; all else lies on the CPU.
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
    """Segments of one shape, of so many cells each, in parts."""
    if device.type == "cpu":
        return _portions(alike, CHUNK_CELLS // cells)
    limit = max(1, CHUNK_CELLS_ON_ACCELERATORS // cells)
    return (alike[start : start + limit] for start in range(0, len(alike), limit))


def _portions(members: list[int], limit: int) -> Iterator[list[int]]:
    """Cuts a list into parts whose sizes are powers of two, so that few sizes occur.

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
