"""What a comparison found, as frozen values that become JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What counts as an overlap.

    Attributes:
        ngram: Words of a gram.
        min_ngram: Texts shorter than ``ngram`` words are compared whole, down to this many words. Paper: GPT-3, C.
        max_documents: A gram in more distinct training texts is too common to count; None: none is. Paper: GPT-3, C.
        jaccard: Shared shingles over all shingles from which two rows are near duplicates.
        shingle: Words of a shingle.
        seed: Chooses the MinHash functions.
        examples: Overlaps shown for each measured task.
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
    """One overlap to look at.

    Attributes:
        row: Raw row of the measured task's test split.
        field: The field it lies in; "(answer)" for a reference, "(row)" for a row of short fields taken whole.
        train_task: The training task.
        train_row: Raw row of its train split.
        train_field: The field it lies in there.
        span: The longest run of words they share; for a near duplicate, the training row's first words.
        words: How many words the shared run has; 0 for a near duplicate.
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
    """How much of a measured task one training task touches: rows with a shared n-gram, rows with a near duplicate."""

    task: str
    overlapping: int
    duplicates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFinding:
    """What was found of one measured task.

    Attributes:
        rows: Rows of its test split.
        too_short: Rows with too few words to judge.
        overlapping: Rows that share an n-gram with training.
        duplicates: Rows with a near duplicate in training.
        common_only: Rows that share nothing but n-grams that are too common; not counted as overlapping.
        dirty: Raw numbers of the rows that overlap or have a duplicate.
        fields: Field → rows whose overlap lies there. A context may overlap while no question does.
        training: The training tasks involved, those that touch most rows first.
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
    """A training task: its rows, and the raw numbers of those that touch something measured."""

    task: str
    rows: int
    dirty: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldFinding:
    """One fold's training tasks against its unseen tasks.

    Attributes:
        held_out: The clusters held out.
        tasks: The measured tasks, by name.
        train: The training tasks, by name.
        common_grams: n-grams ignored because too many training texts contain them.
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
    """The whole report of a run file."""

    name: str
    settings: Settings
    folds: tuple[FoldFinding, ...]

    @property
    def has_overlap(self) -> bool:
        """Whether any fold has a dirty row."""
        return any(fold.has_overlap for fold in self.folds)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON-able values; row numbers are in the filter file, here are their counts."""
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
