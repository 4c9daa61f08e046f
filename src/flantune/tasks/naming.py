"""Tasks chosen by name."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase


def is_named(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name is one of some, in which a star stands for any letters.

    >>> is_named("wmt16_deen", ("wmt14_enfr", "wmt16_*"))
    True
    """
    return any(fnmatchcase(name, pattern) for pattern in patterns)
