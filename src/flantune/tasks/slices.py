"""Slices of a source split, as FLAN writes them: ``train[:-200]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PATTERN = re.compile(r"(?P<split>[^\[\]]+)(?:\[(?P<start>-?[\d_]*):(?P<stop>-?[\d_]*)\])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSlice:
    """Part of a source split, by raw row numbers.

    Attributes:
        split: Name of the source split.
        start: First row; negative counts from the end.
        stop: One past the last row; negative counts from the end; None: to the end.
    """

    split: str
    start: int = 0
    stop: int | None = None

    def bounds(self, rows: int) -> tuple[int, int]:
        """First row and one past the last, in a split of so many rows.

        >>> parse_slice("train[-200:]").bounds(1000)
        (800, 1000)
        >>> parse_slice("train[:-200]").bounds(100)
        (0, 0)
        """
        start, stop, _ = slice(self.start, self.stop).indices(rows)
        return start, max(start, stop)

    @property
    def rows_needed(self) -> int | None:
        """How many rows from the front the slice needs to be known; None: all.

        >>> parse_slice("train[:30000]").rows_needed
        30000
        >>> parse_slice("train[-200:]").rows_needed
        """
        return self.stop if self.start >= 0 and self.stop is not None and self.stop >= 0 else None


def parse_slice(text: str) -> SplitSlice:
    """A slice from how it is written.

    >>> parse_slice("train[:-200]")
    SplitSlice(split='train', start=0, stop=-200)
    >>> parse_slice("validation")
    SplitSlice(split='validation', start=0, stop=None)

    Raises:
        ValueError: It is not written like one.
    """
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'"{text}" is not a slice; write "train", "train[:-200]", "train[-200:]" or "train[100:300]"')
    try:
        start, stop = match["start"], match["stop"]
        return SplitSlice(split=match["split"], start=int(start) if start else 0, stop=int(stop) if stop else None)
    except ValueError:
        raise ValueError(f'"{text}" has a border that is not a whole number') from None
