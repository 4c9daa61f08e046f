"""The little that every part of the report needs to read JSON without trusting it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]


def objects(value: object) -> tuple[Json, ...]:
    """The objects of a JSON array; nothing when it is not one.

    >>> objects([{"a": 1}, "b"]), objects(None)
    (({'a': 1},), ())
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        return ()
    return tuple(entry for entry in value if isinstance(entry, Mapping))


def mapping(value: object) -> Json:
    """A JSON object; an empty one when it is not one."""
    return value if isinstance(value, Mapping) else {}
