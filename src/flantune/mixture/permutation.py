"""Shuffles without memory: the place of item ``index`` in a shuffled range, computed only from a key.

A Feistel network permutes the numbers of the smallest power of two that is large enough; a result outside the range is
permuted again until it falls inside (cycle walking), which gives a permutation of the range.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flantune.system.keyed_random import GOLDEN, MASK, scramble

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

UInt64 = NDArray[np.uint64]
Int64 = NDArray[np.int64]

ROUNDS = 8
"""Half-rounds of the network; four make a good pseudo-random permutation (Luby and Rackoff, 1988), eight suffice for
ranges so small that a half has a bit or two."""
MIN_BITS = 4
"""A half of one bit has too few round functions: pairs of places would not be uniform."""


def permute(index: int, size: int, key: int) -> int:
    """The place of ``index`` in the shuffle of ``range(size)`` by ``key``; each key gives another permutation.

    >>> sorted(permute(index, 10, 7) for index in range(10))
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]

    Raises:
        IndexError: ``index`` is outside the range.
    """
    if not 0 <= index < size:
        raise IndexError(f"index {index} is outside range({size})")
    if size == 1:
        return 0
    bits = max(MIN_BITS, (size - 1).bit_length())
    right_bits = bits - bits // 2
    left_mask, right_mask = (1 << (bits // 2)) - 1, (1 << right_bits) - 1
    value = index
    while True:
        left, right = value >> right_bits, value & right_mask
        step = key
        for _ in range(ROUNDS // 2):
            step = (step + GOLDEN) & MASK
            left ^= scramble(right ^ step) & left_mask
            step = (step + GOLDEN) & MASK
            right ^= scramble(left ^ step) & right_mask
        value = (left << right_bits) | right
        if value < size:
            return value


def permute_array(indices: ArrayLike, sizes: ArrayLike, keys: ArrayLike) -> Int64:
    """``permute`` for many at once, element by element; sizes and keys may differ or be single numbers.

    >>> permute_array([0, 1, 2], 3, 7).tolist() == [permute(index, 3, 7) for index in range(3)]
    True

    Args:
        indices: Shape [n].
        sizes: Shape [n] or one number, below 2^53.
        keys: 64-bit keys, shape [n] or one number.

    Raises:
        IndexError: An index is outside its range.
    """
    value, size, key = np.broadcast_arrays(
        np.atleast_1d(np.asarray(indices, dtype=np.int64)),
        np.asarray(sizes, dtype=np.int64),
        np.asarray(keys, dtype=np.uint64),
    )
    if ((value < 0) | (value >= size)).any():
        raise IndexError("an index is outside its range")
    result = value.copy()
    waiting = np.flatnonzero(size > 1)
    while len(waiting):
        result[waiting] = _feistel(result[waiting], size[waiting], key[waiting])
        waiting = waiting[result[waiting] >= size[waiting]]
    return result


def _feistel(value: Int64, size: Int64, key: UInt64) -> Int64:
    bits = np.frexp((size - 1).astype(np.float64))[1]  # as int.bit_length
    bits = np.maximum(bits, MIN_BITS).astype(np.uint64)
    one, golden = np.uint64(1), np.uint64(GOLDEN)
    left_bits = bits // np.uint64(2)
    right_bits = bits - left_bits
    left_mask, right_mask = (one << left_bits) - one, (one << right_bits) - one
    words = value.astype(np.uint64)
    left, right = words >> right_bits, words & right_mask
    step = key.copy()
    for _ in range(ROUNDS // 2):
        step += golden
        left ^= scramble_array(right ^ step) & left_mask
        step += golden
        right ^= scramble_array(left ^ step) & right_mask
    return ((left << right_bits) | right).astype(np.int64)


def scramble_array(value: UInt64) -> UInt64:
    """``scramble`` for each element."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def mix64_array(*words: ArrayLike) -> UInt64:
    """``mix64`` for each element; words may be arrays or single numbers.

    >>> from flantune.system.keyed_random import mix64
    >>> mix64_array(7, [0, 1]).tolist() == [mix64(7, 0), mix64(7, 1)]
    True
    """
    arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(word, dtype=np.uint64)) for word in words))
    state = np.full(arrays[0].shape, GOLDEN, dtype=np.uint64)
    for word in arrays:
        state = scramble_array((state ^ word) + np.uint64(GOLDEN))
    return state
