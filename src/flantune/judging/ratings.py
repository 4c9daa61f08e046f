"""Ratings on disk: one line each, written before the page shows the next pair."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Literal, get_args

from pydantic import ConfigDict

from flantune.judging.answers import LineWriter
from flantune.judging.comparisons import Comparison
from flantune.settings.json_file import read_lines

Choice = Literal["left", "right", "tie", "skip"]
CHOICES: tuple[str, ...] = get_args(Choice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """A person's rating of one comparison.

    Attributes:
        comparison: The comparison's key.
        prompt: The prompt's id.
        left: The model on the left.
        right: The model on the right.
        choice: "left" or "right" is better, a tie, or skipped.
        rater: Name of the rater.
        seconds: How long the pair was shown; None if that is not a number.
        time: Time of the rating, in UTC.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    comparison: str
    prompt: str
    left: str
    right: str
    choice: Choice
    rater: str = ""
    seconds: float | None = 0.0
    time: str = ""


def read_ratings(path: Path) -> tuple[Rating, ...]:
    """The valid ratings of a file: each rater's last on a comparison. A line cut off at the end is ignored.

    Raises:
        SourceError: A line is not a rating.
    """
    if not path.exists():
        return ()
    mends = "ratings are written by `flantune judge`; give another file with --ratings"
    latest: dict[tuple[str, str], Rating] = {}
    for _, rating in read_lines(path, Rating, mends=mends, what="no rating"):
        latest.pop((rating.rater, rating.comparison), None)
        latest[rating.rater, rating.comparison] = rating
    return tuple(latest.values())


class Desk:
    """One rater's session: the comparisons, their ratings, and the ratings file.

    Thread-safe.

    Args:
        pairs: The comparisons in the order in which they are shown; those of equal answers are skipped.
        path: The ratings file.
        rater: Name of the rater.
    """

    def __init__(self, pairs: Sequence[Comparison], path: Path, *, rater: str = "") -> None:
        self.pairs = tuple(pair for pair in pairs if not pair.is_same)
        self.same = len(pairs) - len(self.pairs)
        self.path, self.rater = path, rater
        known = {pair.key for pair in self.pairs}
        self._choices: dict[str, Choice] = {
            rating.comparison: rating.choice
            for rating in read_ratings(path)
            if rating.rater == rater and rating.comparison in known
        }
        self._lines = LineWriter(path, every_seconds=0.0)
        self._lock = threading.Lock()

    @property
    def done(self) -> int:
        """Number of comparisons with a rating, including skipped ones."""
        return len(self._choices)

    def choice(self, at: int) -> Choice | None:
        """The choice for a comparison."""
        return self._choices.get(self.pairs[at].key)

    def first_open(self, start: int = 0) -> int:
        """Index of the next open comparison, from ``start`` on, then from the top; their number if none is left."""
        size = len(self.pairs)
        order = (*range(start, size), *range(min(start, size)))
        return next((at for at in order if self.choice(at) is None), size)

    def rate(self, at: int, choice: Choice, *, seconds: float) -> None:
        """Stores a rating; when this returns, it is on disk."""
        pair = self.pairs[at]
        rating = Rating(
            comparison=pair.key,
            prompt=pair.left.id,
            left=pair.left.model,
            right=pair.right.model,
            choice=choice,
            rater=self.rater,
            seconds=round(seconds, 1),
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        with self._lock:
            self._lines.add(asdict(rating))
            self._lines.sync()
            self._choices[pair.key] = choice

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._lines.close()


def raters(ratings: Iterable[Rating]) -> tuple[str, ...]:
    """The raters, in order of appearance."""
    return tuple(dict.fromkeys(rating.rater for rating in ratings))
