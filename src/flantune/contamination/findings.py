"""The findings of a comparison, as immutable values that become JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What counts as an overlap.

    Attributes:
        ngram: Number of words of an n-gram.
        min_ngram: Texts of fewer than ``ngram`` words are compared whole, from this many words on. Paper: GPT-3, C.
        max_documents: An n-gram in more distinct training texts is too common; None: no limit. Paper: GPT-3, C.
        jaccard: Smallest Jaccard index of the shingles of near-duplicate rows.
        shingle: Number of words of a shingle.
        seed: Seed of the MinHash functions.
        examples: Number of overlaps shown for each measured task.
    """

    ngram: int = 13
    min_ngram: int = 8
    max_documents: int | None = 10
    jaccard: float = 0.8
    shingle: int = 3
    seed: int = 0
    examples: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownOverlap:
    """One overlap, shown as an example.

    Attributes:
        row: Raw row of the measured task's test split.
        field: Its field in that row; "(answer)" for a reference, "(row)" for a row compared as a whole.
        train_task: The training task.
        train_row: Raw row of its train split.
        train_field: Its field in the training row.
        span: The longest shared run of words, cut in the middle if very long; for a near duplicate, the training row.
        words: Number of words of the shared run; 0 for a near duplicate.
        jaccard: For a near duplicate, the Jaccard index; None for an overlapping n-gram.
    """

    row: int
    field: str
    train_task: str
    train_row: int
    train_field: str
    span: str
    words: int
    jaccard: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOverlap:
    """How many rows of a measured task share an n-gram with a training task, or have a near duplicate in it."""

    task: str
    overlapping: int
    duplicates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFinding:
    """The findings on one measured task.

    Attributes:
        rows: Number of rows of its test split.
        too_short: Rows with too few words to compare.
        overlapping: Rows that share an n-gram with training rows.
        duplicates: Rows with a near duplicate among training rows.
        common_only: Rows that only share n-grams that are too common; not counted as overlapping.
        dirty: Raw numbers of the rows that overlap or have a near duplicate.
        fields: Field → rows with an overlap in it. A context may overlap although its question does not.
        training: The training tasks involved, by the number of rows affected.
        examples: A few overlaps.
    """

    task: str
    rows: int
    too_short: int
    overlapping: int
    duplicates: int
    common_only: int
    dirty: tuple[int, ...]
    fields: Mapping[str, int]
    training: tuple[TrainingOverlap, ...]
    examples: tuple[ShownOverlap, ...]

    @property
    def share(self) -> float:
        """Dirty rows over all rows."""
        return len(self.dirty) / self.rows if self.rows else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainFinding:
    """A training task: its number of rows, and the raw numbers of those that overlap with measured rows."""

    task: str
    rows: int
    dirty: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldFinding:
    """The findings on one fold: its training tasks against its unseen tasks.

    Attributes:
        held_out: The held-out clusters.
        tasks: The measured tasks, sorted by name.
        train: The training tasks, sorted by name.
        common_grams: Number of n-grams ignored because too many training texts contain them.
    """

    held_out: tuple[str, ...]
    tasks: tuple[TaskFinding, ...]
    train: tuple[TrainFinding, ...]
    common_grams: int

    @property
    def has_overlap(self) -> bool:
        """Whether any measured row is dirty."""
        return any(task.dirty for task in self.tasks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contamination:
    """The complete findings for a run file."""

    name: str
    settings: Settings
    folds: tuple[FoldFinding, ...]

    @property
    def has_overlap(self) -> bool:
        """Whether any fold has a dirty row."""
        return any(fold.has_overlap for fold in self.folds)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values, with counts of dirty rows; their numbers are in the filter file."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "settings": asdict(self.settings),
            "folds": [_fold(fold) for fold in self.folds],
        }


def _fold(fold: FoldFinding) -> dict[str, Any]:
    return {
        "held_out": list(fold.held_out),
        "common_grams_ignored": fold.common_grams,
        "tasks": [
            {**asdict(task), "dirty": len(task.dirty), "share": task.share, "fields": dict(task.fields)}
            for task in fold.tasks
        ],
        "train": [{"task": one.task, "rows": one.rows, "dirty": len(one.dirty)} for one in fold.train],
    }
