"""From samples to numbers in a rectangle: what was noted of each row under each template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flantune.errors import EvaluationError
from flantune.evaluation.metrics import Metric, find_metric
from flantune.evaluation.rank import NORMALIZATIONS, Normalization, choose, option_scores
from flantune.types import Kind, Sample, SplitRole

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One thing noted of every sample: a metric under a normalization."""

    metric: Metric
    normalization: Normalization


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """All that is noted of a task's samples.

    Attributes:
        headline: The task's first metric under the run's normalization.
        others: The task's other metrics.
        variants: The headline metric under each normalization; empty for generation.
    """

    headline: Column
    others: tuple[Column, ...]
    variants: tuple[Column, ...]

    @property
    def all(self) -> tuple[Column, ...]:
        """Every column once."""
        return tuple(
            {(c.metric.name, c.normalization): c for c in (self.headline, *self.others, *self.variants)}.values()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One model's samples of one task, one split and one number of exemplars, as arrays.

    Attributes:
        rows: Source rows, in the order of first appearance.
        templates: Names of templates, in the task's order.
        notes: Metric and normalization → notes, [rows, templates, k]; nan where a prompt was dropped.
        options: Number of options of each row; 0 for generation.
        ties: Samples whose best options scored the same.
    """

    rows: tuple[int, ...]
    templates: tuple[str, ...]
    notes: Mapping[tuple[str, Normalization], Floats]
    options: Floats
    ties: int

    def cells(self, column: Column) -> Floats:
        """Notes of one column, [rows, templates, k]."""
        return self.notes[column.metric.name, column.normalization]

    @property
    def chance(self) -> float:
        """What guessing scores: the mean over rows of one over the number of options; 0 for generation."""
        return float(np.mean(1.0 / self.options)) if self.options.all() else 0.0


def columns_of(kind: Kind, metrics: Sequence[str], *, normalization: Normalization) -> Columns:
    """What to note for a task with these metrics.

    Raises:
        EvaluationError: A metric does not exist.
    """
    found = [Column(metric=find_metric(name, kind), normalization=normalization) for name in metrics]
    variants = NORMALIZATIONS if kind == "classification" else ()
    return Columns(
        headline=found[0],
        others=tuple(found[1:]),
        variants=tuple(Column(metric=found[0].metric, normalization=name) for name in variants),
    )


def read_tables(samples: Iterable[Sample], columns: Columns) -> dict[tuple[int, SplitRole], Table]:
    """Notes what the columns ask for, sample by sample; texts are not kept.

    Returns:
        (shots, split) → table.

    Raises:
        EvaluationError: A row was asked twice with one template.
    """
    builders: dict[tuple[int, SplitRole], _Builder] = {}
    for sample in samples:
        builders.setdefault((sample.shots, sample.split), _Builder(columns)).add(sample)
    return {key: builder.table() for key, builder in builders.items()}


@dataclass(slots=True)
class _Builder:
    """A table while its samples come in."""

    columns: Columns
    rows: dict[int, int] = field(default_factory=dict)
    templates: dict[str, int] = field(default_factory=dict)
    cells: dict[tuple[int, int], tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    options: list[int] = field(default_factory=list)
    ties: int = 0

    def add(self, sample: Sample) -> None:
        row = self.rows.setdefault(sample.row, len(self.rows))
        template = self.templates.setdefault(sample.template, len(self.templates))
        if (row, template) in self.cells:
            where = f"{sample.task}/{sample.template}/row {sample.row}"
            raise EvaluationError("two samples of one row and template", where=where, hint="delete the file and repeat")
        if row == len(self.options):
            self.options.append(len(sample.options))
        self.cells[row, template] = tuple(c.metric.note(sample, c.normalization) for c in self.columns.all)
        if sample.scores:
            self.ties += choose(option_scores(sample, self.columns.headline.normalization)).is_tie

    def table(self) -> Table:
        rows, templates = (np.array(side) for side in zip(*self.cells, strict=True))
        notes = {}
        for number, column in enumerate(self.columns.all):
            noted = np.array([cell[number] for cell in self.cells.values()], dtype=np.float64)
            cells = np.full((len(self.rows), len(self.templates), noted.shape[1]), np.nan)
            cells[rows, templates] = noted
            notes[column.metric.name, column.normalization] = cells
        return Table(
            rows=tuple(self.rows),
            templates=tuple(self.templates),
            notes=notes,
            options=np.array(self.options, dtype=np.float64),
            ties=self.ties,
        )
