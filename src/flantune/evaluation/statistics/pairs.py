"""Several models on one exam: the mean of each, and each later model's paired difference from the first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flantune.errors import EvaluationError
from flantune.evaluation.estimates import Bootstrap, Difference, Estimate
from flantune.evaluation.metrics.by_name import Metric
from flantune.evaluation.metrics.graders import MetricColumn
from flantune.evaluation.statistics import means as statistics
from flantune.evaluation.statistics.grades import GradeTable
from flantune.evaluation.statistics.means import Interval, Mean, above_chance, interval_of

Floats = NDArray[np.float64]
Span = tuple[float, float]

REPLICATES = 1000
"""Bootstrap replicates of every difference, and of a corpus metric's scores, unless the metric sets its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The same rows and templates, answered by two models."""

    first: GradeTable
    second: GradeTable

    def cells(self, column: MetricColumn) -> tuple[Floats, Floats]:
        """Notes of one column for both models, [rows, templates, k] each."""
        return self.first.cells(column), self.second.cells(column)

    def without(self, rows: Collection[int]) -> Pair:
        """The pair without some rows."""
        return Pair(first=self.first.without(rows), second=self.second.without(rows)) if rows else self

    def span(self, column: MetricColumn) -> Span:
        """Lowest and highest difference possible."""
        low, high = span_of(column, self.first, self.second)
        return low - high, high - low


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMeans:
    """One measure of one exam, as used in means over exams.

    Attributes:
        scores: Model → its mean over templates.
        differences: Later model → its mean minus the first model's, paired by row and template.
    """

    scores: Mapping[str, Mean]
    differences: Mapping[str, Mean]

    def above_chance(self, chance: float) -> ModelMeans:
        """The same as shares of the way from guessing to perfect."""
        return ModelMeans(
            scores={name: above_chance(mean, chance) for name, mean in self.scores.items()},
            differences={
                name: above_chance(mean, chance, is_difference=True) for name, mean in self.differences.items()
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedMetric:
    """One metric of one exam, for every model.

    Attributes:
        column: The metric.
        means: Means and differences.
        replicates: Later model → its difference on bootstrap replicates of the rows, shape [replicates].
    """

    column: MetricColumn
    means: ModelMeans
    replicates: Mapping[str, Floats]


def check_same_cells(first: GradeTable, second: GradeTable, *, where: str) -> None:
    """Refuses to compare two models on different prompts.

    Raises:
        EvaluationError: Rows, templates or dropped prompts differ between the two.
    """
    is_same = first.rows == second.rows and first.templates == second.templates
    if not is_same or ((first.answers < 0) != (second.answers < 0)).any() or (first.groups != second.groups).any():
        raise EvaluationError(
            "the two models were asked different prompts",
            where=where,
            hint="repeat the command: it asks again what was asked with other settings",
        )


def pair_of(first: GradeTable, second: GradeTable, *, where: str) -> Pair:
    """The rows that both models answered.

    Raises:
        EvaluationError: The two share no rows.
    """
    common = frozenset(first.rows) & frozenset(second.rows)
    if not common:
        hint = "evaluate them with the same data, shots and limit"
        raise EvaluationError("the two models answered no question in common", where=where, hint=hint)
    if first.rows == second.rows:
        return Pair(first=first, second=second)
    return Pair(first=first.without({*first.rows} - common), second=second.without({*second.rows} - common))


def compare_means(
    tables: Mapping[str, GradeTable], pairs: Mapping[str, Pair], column: MetricColumn, *, seed: int, confidence: float
) -> ComparedMetric:
    """Means over templates with standard errors clustered by row, or by group of rows, and the paired differences.

    Args:
        tables: Model → its table, the first model first.
        pairs: Later model → the rows that it shares with the first.
        column: The metric.
        seed: Seed of the bootstrap draws, which are the same for all models.
        confidence: Level of the intended intervals.

    Paper: FLAN 2021, section 2.3 (mean over templates: the result with a typical instruction).
    """
    drawn: dict[int, Floats] = {}

    def resampled(table: GradeTable) -> Floats:
        if id(table) not in drawn:
            drawn[id(table)] = resampled_scores(table, column, seed=seed)
        return drawn[id(table)]

    if column.metric.score is None:
        scores = {name: _row_mean(table, column, confidence=confidence) for name, table in tables.items()}
        found = {name: _row_difference(pair, column, seed=seed, confidence=confidence) for name, pair in pairs.items()}
        return ComparedMetric(
            column=column,
            means=ModelMeans(scores=scores, differences={name: mean for name, (mean, _) in found.items()}),
            replicates={name: change[1:] for name, (_, change) in found.items()},
        )
    changes = {name: resampled(pair.second) - resampled(pair.first) for name, pair in pairs.items()}
    return ComparedMetric(
        column=column,
        means=ModelMeans(
            scores={
                name: _redrawn_mean(table, resampled(table), span_of(column, table), confidence=confidence)
                for name, table in tables.items()
            },
            differences={
                name: _redrawn_mean(pairs[name].first, change, pairs[name].span(column), confidence=confidence)
                for name, change in changes.items()
            },
        ),
        replicates={name: change[1:] for name, change in changes.items()},
    )


def mcnemar_of(pairs: Sequence[Pair], column: MetricColumn) -> float | None:
    """Exact McNemar p-value over the rows of one exam or several.

    None if the metric is not right-or-wrong, or rows are not independent.
    """
    if not all(_is_right_or_wrong(pair, column) for pair in pairs):
        return None
    first, second = (
        np.concatenate([statistics.units_of(cells[..., 0])[0] for cells in each])[:, None]
        for each in zip(*(pair.cells(column) for pair in pairs), strict=True)
    )
    return statistics.mcnemar_p(first, second)


def template_scores(table: GradeTable, column: MetricColumn) -> list[float]:
    """The score of each template."""
    cells, metric, span = table.cells(column), column.metric, span_of(column, table)
    if metric.score is None:
        return [within(float(value), span) for value in np.nanmean(cells[..., 0], axis=0)]
    ones = np.ones((1, len(cells)))
    return [within(float(_corpus(metric, cells[:, at], ones)[0]), span) for at in range(cells.shape[1])]


def template_intervals(table: GradeTable, column: MetricColumn, *, confidence: float) -> list[Interval]:
    """The interval of each template's score; empty for metrics that are not means over rows."""
    if column.metric.score is not None:
        return []
    cells, span = table.cells(column)[..., 0], span_of(column, table)
    means = [
        statistics.clustered_mean(cells[:, [at]], span=span, confidence=confidence, groups=groups_of(table))
        for at in range(cells.shape[1])
    ]
    return [interval_of(mean, confidence=confidence, span=span) for mean in means]


def score_estimate(mean: Mean, *, confidence: float, span: Span) -> Estimate:
    """A mean with its interval, in the format of ``results.json``."""
    interval = interval_of(mean, confidence=confidence, span=span)
    return Estimate(value=mean.value, low=interval.low, high=interval.high, se=mean.se)


def difference_estimate(mean: Mean, *, confidence: float, span: Span) -> Difference:
    """A difference with its interval, its p-value, and the smallest one it could have detected.

    The interval excludes zero exactly if the p-value is below 1 − ``confidence``: both are Student's.
    """
    interval = statistics.t_interval(mean, confidence=confidence, span=span)
    return Difference(
        value=mean.value,
        low=interval.low,
        high=interval.high,
        se=mean.se,
        p=statistics.t_test_p(mean),
        detectable=statistics.detectable_difference(mean, confidence=confidence),
    )


def bootstrap_interval(replicates: Floats, *, confidence: float) -> Bootstrap | None:
    """A difference's percentile interval and p-value; None if all replicates agree, which proves nothing."""
    if np.ptp(replicates) < 1e-12:
        return None
    interval = statistics.percentile_interval(replicates, confidence=confidence)
    return Bootstrap(low=interval.low, high=interval.high, p=statistics.bootstrap_p(replicates))


def span_of(column: MetricColumn, *tables: GradeTable) -> Span:
    """Lowest and highest possible score; for functions of a task file, as observed in their answers."""
    spans = [one.metric.span for table in tables for one in table.columns.all if one.key == column.key]
    return min(low for low, _ in spans), max(high for _, high in spans)


def within(value: float, span: Span = statistics.SCORE) -> float:
    """The value, without a rounding error beyond the ends of its range."""
    return min(max(value, span[0]), span[1])


def groups_of(table: GradeTable) -> statistics.Integers | None:
    """Group of each row; None if all are independent."""
    return table.groups if table.is_grouped else None


def _row_mean(table: GradeTable, column: MetricColumn, *, confidence: float) -> Mean:
    cells, span = table.cells(column)[..., 0], span_of(column, table)
    return statistics.clustered_mean(cells, span=span, confidence=confidence, groups=groups_of(table))


def _row_difference(pair: Pair, column: MetricColumn, *, seed: int, confidence: float) -> tuple[Mean, Floats]:
    """Second minus first of a row metric, and its values on the rows and on replicates of them."""
    first, second = pair.cells(column)
    change, groups = (second - first)[..., 0], groups_of(pair.first)
    mean = statistics.clustered_mean(change, span=pair.span(column), confidence=confidence, groups=groups)
    return mean, statistics.resampled_mean(change, replicates=REPLICATES, seed=seed, groups=groups)


def _redrawn_mean(table: GradeTable, scores: Floats, span: Span, *, confidence: float) -> Mean:
    """The mean of a corpus metric, from its values on the rows and on replicates of them."""
    count = int(table.groups.max()) + 1
    return statistics.bootstrap_mean(scores, examples=count, span=span, confidence=confidence)


def resampled_scores(
    table: GradeTable, column: MetricColumn, *, seed: int, kept: NDArray[np.bool_] | None = None
) -> Floats:
    """A corpus metric's mean over templates, on the rows and on bootstrap replicates; optionally for some rows only."""
    cells, metric = table.cells(column), column.metric

    def mean_over_templates(weights: Floats) -> Floats:
        counted = weights if kept is None else weights * kept
        scores = [_corpus(metric, cells[:, at], counted) for at in range(cells.shape[1])]
        return np.asarray(np.mean(scores, axis=0))

    return statistics.resample(
        mean_over_templates,
        examples=len(cells),
        replicates=metric.replicates or REPLICATES,
        seed=seed,
        groups=groups_of(table),
    )


def _corpus(metric: Metric, notes: Floats, weights: Floats) -> Floats:
    """A corpus metric without dropped prompts."""
    if metric.score is None:
        raise TypeError(f"{metric.name} is not a corpus metric")
    is_there = ~np.isnan(notes).any(axis=1)
    return metric.score(notes[is_there], weights[:, is_there])


def _is_right_or_wrong(pair: Pair, column: MetricColumn) -> bool:
    """Whether every row is one answer that is right or wrong."""
    return column.metric.is_binary and (column.metric.is_per_group or not pair.first.is_grouped)
