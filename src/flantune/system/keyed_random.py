"""Counter-based random numbers: a value is a pure function of a key and a counter, with no state to carry or seed."""

from __future__ import annotations

import json
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio: steps through the 64-bit numbers without clustering."""


def scramble(value: int) -> int:
    """Mixes all 64 bits of a number; a bijection (the finalizer of the SplitMix64 generator).

    >>> scramble(0), scramble(1) != scramble(2)
    (0, True)
    """
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def mix64(*words: int) -> int:
    """A 64-bit hash of a few integers, in order: the random number with these coordinates.

    >>> mix64(7, 0) == mix64(7, 0), mix64(7, 0) == mix64(0, 7)
    (True, False)
    """
    state = GOLDEN
    for word in words:
        state = scramble(((state ^ (word & MASK)) + GOLDEN) & MASK)
    return state


@lru_cache(maxsize=65_536)
def stream_key(seed: int, *names: str | int) -> int:
    """The key of a named random stream, so that a stream does not depend on others.

    >>> stream_key(0, "rte", "templates") == stream_key(0, "rte", "templates")
    True
    >>> stream_key(0, "ab", "c") == stream_key(0, "a", "bc")
    False
    """
    # ASCII JSON is the same on every Python version; repr() of a string follows the Unicode tables of the interpreter.
    text = json.dumps([seed, *names], ensure_ascii=True)
    return int.from_bytes(blake2b(text.encode("ascii"), digest_size=8).digest(), "little")


def shuffled(size: int, *, key: int, limit: int | None = None) -> Iterator[int]:
    """The first ``limit`` numbers of a shuffle of range(size), in memory that only grows with ``limit``.

    >>> sorted(shuffled(5, key=7)), len(list(shuffled(1_000, key=7, limit=3)))
    ([0, 1, 2, 3, 4], 3)
    """
    moved: dict[int, int] = {}
    for place in range(size if limit is None else min(size, limit)):
        other = place + mix64(key, place) % (size - place)
        yield moved.get(other, other)
        moved[other] = moved.get(place, place)
