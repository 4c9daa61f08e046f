"""Slices of a source split, and several of them joined: ``train[:12400] + train[12600:]``, ``train[:90%]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PATTERN = re.compile(r"(?P<split>[^\[\]+]+?)\s*(?:\[(?P<start>-?[\d_]*%?):(?P<stop>-?[\d_]*%?)\])?")
_HOW = (
    'write "train", "train[:-200]", "train[-200:]", "train[100:300]", "train[:90%]", or join some: '
    '"train[:100] + train[300:]"'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Percent:
    """A border that depends on how many rows a split has; negative counts from the end.

    Attributes:
        value: Whole percents, from -100 to 100.
    """

    value: int

    def row(self, rows: int) -> int:
        """The row where a range begins, or before which it ends; the last tenth begins where nine tenths end.

        >>> Percent(value=90).row(19), Percent(value=-10).row(19)
        (17, 17)
        """
        return rows * (self.value + (100 if self.value < 0 else 0)) // 100


Border = int | Percent


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRange:
    """Consecutive rows of a source split.

    Attributes:
        start: First row; negative counts from the end.
        stop: One past the last row; negative counts from the end; None: to the end.
    """

    start: Border = 0
    stop: Border | None = None

    def bounds(self, rows: int) -> tuple[int, int]:
        """First row and one past the last, in a split of ``rows`` rows.

        >>> RowRange(start=-200).bounds(1000)
        (800, 1000)
        >>> RowRange(stop=-200).bounds(100)
        (0, 0)
        >>> RowRange(start=Percent(value=-10)).bounds(1000)
        (900, 1000)
        """
        borders = [one.row(rows) if isinstance(one, Percent) else one for one in (self.start, self.stop)]
        start, stop, _ = slice(*borders).indices(rows)
        return start, max(start, stop)

    @property
    def rows_needed(self) -> int | None:
        """How many rows from the front must be read for the range; None: all."""
        start, stop = self.start, self.stop
        if isinstance(start, Percent) or isinstance(stop, Percent) or stop is None:
            return None
        return stop if start >= 0 and stop >= 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSlice:
    """Part of a source split, by raw row numbers.

    All ranges are of one source split, so that a row number identifies one row.

    Attributes:
        source_split: The split of the source.
        ranges: The ranges of rows, at least one.
    """

    source_split: str
    ranges: tuple[RowRange, ...] = (RowRange(),)

    def bounds(self, rows: int) -> tuple[tuple[int, int], ...]:
        """First row and one past the last of each range, in row order, in a split of ``rows`` rows.

        >>> parse_slice("train[-200:]").bounds(1000)
        ((800, 1000),)
        >>> parse_slice("train[900:] + train[:100]").bounds(1000)
        ((0, 100), (900, 1000))
        """
        return tuple(sorted(one.bounds(rows) for one in self.ranges))

    @property
    def rows_needed(self) -> int | None:
        """How many rows from the front must be read for the slice; None: all.

        >>> parse_slice("train[:100] + train[300:400]").rows_needed
        400
        >>> parse_slice("train[-200:]").rows_needed
        """
        needed = [one.rows_needed for one in self.ranges]
        return None if None in needed else max(number or 0 for number in needed)


def parse_slice(text: str) -> SplitSlice:
    """A slice from its text.

    >>> parse_slice("train[:-200]").ranges
    (RowRange(start=0, stop=-200),)
    >>> parse_slice("train[:100] + train[300:]").ranges
    (RowRange(start=0, stop=100), RowRange(start=300, stop=None))

    Raises:
        ValueError: It is not a valid slice, or joins rows of two source splits.
    """
    parts = [_parse_part(part, text) for part in text.split("+")]
    splits = list(dict.fromkeys(split for split, _ in parts))
    if len(splits) > 1:
        why = "a role takes rows of one source split, so that a number names a row"
        raise ValueError(f'"{text}" joins rows of {" and ".join(splits)}; {why}')
    return SplitSlice(source_split=splits[0], ranges=tuple(one for _, one in parts))


def shared_rows(bounds: tuple[tuple[int, int], ...], others: tuple[tuple[int, int], ...]) -> int:
    """How many rows two lists of ranges have in common.

    >>> shared_rows(((0, 100), (200, 300)), ((90, 210),))
    20
    """
    return sum(
        max(0, min(stop, other_stop) - max(start, other_start))
        for start, stop in bounds
        for other_start, other_stop in others
    )


def _parse_part(part: str, text: str) -> tuple[str, RowRange]:
    match = _PATTERN.fullmatch(part.strip())
    if match is None:
        raise ValueError(f'"{text}" is not a slice; {_HOW}')
    try:
        start, stop = match["start"], match["stop"]
        return match["split"], RowRange(start=_border(start) if start else 0, stop=_border(stop) if stop else None)
    except ValueError:
        raise ValueError(f'"{text}" has a border that is not a whole number, or percents beyond 100') from None


def _border(text: str) -> Border:
    if not text.endswith("%"):
        return int(text)
    value = int(text[:-1])
    if abs(value) > 100:
        raise ValueError(text)
    return Percent(value=value)
