"""Weighted sums of arms' scores on one task, row by row: a paired difference is one, the slope of a line another.

Arms may differ in style, exemplars or templates, so a row's score is its mean over the templates that the arm was asked
with, and rows are paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flantune.evaluation.metrics.graders import MetricColumn
from flantune.evaluation.statistics import means as statistics
from flantune.evaluation.statistics.grades import GradeTable
from flantune.evaluation.statistics.means import Mean
from flantune.evaluation.statistics.pairs import compare_means, groups_of, resampled_scores, span_of, template_scores

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGrades:
    """One model's answers to one task, as used by an arm.

    Attributes:
        table: The answers, graded.
        seed: Seed of the bootstrap draws of metrics that are not means over rows; the same for all arms of a task.
    """

    table: GradeTable
    seed: int

    @property
    def column(self) -> MetricColumn:
        """The headline metric."""
        return self.table.columns.headline

    def mean(self, *, confidence: float) -> Mean:
        """The score: the mean over templates, with a standard error over rows."""
        compared = compare_means({"": self.table}, {}, self.column, seed=self.seed, confidence=confidence)
        return compared.means.scores[""]


def best_on_dev(table: GradeTable, dev: GradeTable | None) -> GradeTable:
    """The answers with the template that is best on dev rows (the first of equals); all if there are no dev rows.

    Paper: FLAN 2021, section 2.3.
    """
    if dev is None or not dev.rows:
        return table
    scores = dict(zip(dev.templates, template_scores(dev, dev.columns.headline), strict=True))
    known = [name for name in table.templates if name in scores]
    return only_template(table, max(known, key=lambda name: scores[name])) if known else table


def only_template(table: GradeTable, name: str) -> GradeTable:
    """The answers with one template; values that are not arrays are unchanged."""
    at = table.templates.index(name)
    return replace(
        table,
        templates=(name,),
        notes={key: notes[:, [at]] for key, notes in table.notes.items()},
        answers=table.answers[:, [at]],
        options=None,
    )


def contrast(grades: Sequence[TaskGrades], weights: Sequence[float], *, confidence: float) -> Mean | None:
    """The weighted sum of several models' scores on one task, over rows that all of them answered.

    Args:
        grades: The models' answers.
        weights: Weight of each score: −1 and 1 give a paired difference.
        confidence: Level of the intended interval.

    Returns:
        The sum with its standard error over rows; None if they share no row, or have different metrics.
    """
    names = {one.column.metric.name for one in grades}
    common = frozenset.intersection(*(frozenset(one.table.rows) for one in grades))
    if len(names) > 1 or not common:
        return None
    cut = [one.table.without({*one.table.rows} - common) for one in grades]
    column, span = grades[0].column, _span(grades, weights)
    if column.metric.score is None:
        return _row_contrast(cut, weights, span=span, confidence=confidence)
    seed = grades[0].seed
    scores = [resampled_scores(table, table.columns.headline, seed=seed) for table in cut]
    change = np.sum([weight * found for weight, found in zip(weights, scores, strict=True)], axis=0)
    groups = int(cut[0].groups.max()) + 1
    return statistics.bootstrap_mean(change, examples=groups, span=span, confidence=confidence)


def _row_contrast(
    tables: Sequence[GradeTable],
    weights: Sequence[float],
    *,
    span: tuple[float, float],
    confidence: float,
) -> Mean | None:
    order = tables[0].rows
    change = np.zeros(len(order))
    for table, weight in zip(tables, weights, strict=True):
        change += weight * _row_means(table, table.columns.headline, order)
    if np.isnan(change).all():
        return None
    return statistics.clustered_mean(change[:, None], span=span, confidence=confidence, groups=groups_of(tables[0]))


def _row_means(table: GradeTable, column: MetricColumn, order: Sequence[int]) -> Floats:
    """Each row's mean over templates, in a given order of rows; nan if every prompt of a row was dropped."""
    cells = table.cells(column)[..., 0]
    is_there = ~np.isnan(cells)
    means: Floats = np.divide(
        np.where(is_there, cells, 0.0).sum(axis=1),
        is_there.sum(axis=1),
        out=np.full(len(cells), np.nan),
        where=is_there.any(axis=1),
    )
    places = {row: at for at, row in enumerate(table.rows)}
    return np.asarray(means[[places[row] for row in order]])


def _span(grades: Sequence[TaskGrades], weights: Sequence[float]) -> tuple[float, float]:
    ends = [
        sorted((weight * low, weight * high))
        for one, weight in zip(grades, weights, strict=True)
        for low, high in [span_of(one.column, one.table)]
    ]
    return sum(low for low, _ in ends), sum(high for _, high in ends)


def slope_weights(places: Mapping[str, float]) -> dict[str, float]:
    """Weights of the arms' scores whose sum is the slope of the line through them, by least squares.

    >>> slope_weights({"a": 1.0, "b": 2.0, "c": 3.0})
    {'a': -0.5, 'b': 0.0, 'c': 0.5}
    """
    middle = sum(places.values()) / len(places)
    spread = sum((x - middle) ** 2 for x in places.values())
    return {name: (x - middle) / spread for name, x in places.items()}
