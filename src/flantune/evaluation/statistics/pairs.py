"""Two models' tables of one task, turned into scores, spreads and a paired difference."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flantune.errors import EvaluationError
from flantune.evaluation.metrics.by_name import Metric
from flantune.evaluation.metrics.graders import Column, Columns
from flantune.evaluation.results import (
    Bootstrap,
    CleanScores,
    Difference,
    Estimate,
    Models,
    ModelScores,
    TemplateScores,
)
from flantune.evaluation.statistics import means as statistics
from flantune.evaluation.statistics.difference_estimates import difference_estimate
from flantune.evaluation.statistics.grades import Table
from flantune.evaluation.statistics.means import Interval, Mean, interval_of
from flantune.evaluation.statistics.over_templates import agreement_rate, spread_over_templates
from flantune.evaluation.statistics.skill_scores import ModelSkill, PairSkill, model_skill

Floats = NDArray[np.float64]
Span = tuple[float, float]

REPLICATES = 1000
"""Bootstrap replicates of every task's difference, and of a corpus metric's scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The same rows and templates, answered by two models.

    Attributes:
        base: Before tuning.
        tuned: After tuning.
        base_dev: Dev rows before tuning; None without dev rows.
        tuned_dev: Dev rows after tuning.
    """

    base: Table
    tuned: Table
    base_dev: Table | None = None
    tuned_dev: Table | None = None

    def without(self, rows: Collection[int]) -> Pair:
        """The test rows but for some source rows."""
        return Pair(base=self.base.without(rows), tuned=self.tuned.without(rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a task adds to the means of clusters: mean over templates, before, after, and the paired difference.

    Attributes:
        base: Before tuning.
        tuned: After tuning.
        difference: Tuned minus base, paired by row and template.
        span: Lowest and highest score possible.
        replicates: The difference on bootstrap replicates of the rows, shape [REPLICATES].
    """

    base: Mean
    tuned: Mean
    difference: Mean
    span: Span
    replicates: Floats


def check_same_cells(pair: Pair, *, where: str) -> None:
    """Refuses to compare two models on different prompts.

    Raises:
        EvaluationError: Rows, templates or dropped prompts differ between the two.
    """
    base, tuned = pair.base, pair.tuned
    is_same = base.rows == tuned.rows and base.templates == tuned.templates
    if not is_same or ((base.answers < 0) != (tuned.answers < 0)).any() or (base.groups != tuned.groups).any():
        raise EvaluationError(
            "the base model and the tuned model were asked different prompts",
            where=where,
            hint="repeat the run: it scores again what was made with other settings",
        )


def compare_means(pair: Pair, column: Column, *, seed: int, confidence: float) -> Means:
    """Means over templates with standard errors clustered by row, or by group of rows, and the paired difference.

    Paper: FLAN 2021, section 2.3 (mean over templates as what a typical instruction gives).
    """
    metric, span = column.metric, column.metric.span
    reach = _difference_span(span)
    base, tuned = pair.base.cells(column), pair.tuned.cells(column)
    groups = pair.base.groups if pair.base.is_grouped else None
    if metric.score is None:
        change = (tuned - base)[..., 0]
        replicates = statistics.resampled_mean(change, replicates=REPLICATES, seed=seed, groups=groups)

        def mean(cells: Floats, span: Span) -> Mean:
            return statistics.clustered_mean(cells, span=span, confidence=confidence, groups=groups)

        return Means(
            base=mean(base[..., 0], span),
            tuned=mean(tuned[..., 0], span),
            difference=mean(change, reach),
            span=span,
            replicates=replicates[1:],
        )
    before, after = (_resampled(metric, cells, seed=seed, groups=groups) for cells in (base, tuned))
    count = len(base) if groups is None else int(groups.max()) + 1

    def resampled(scores: Floats, span: Span) -> Mean:
        return statistics.bootstrap_mean(scores, examples=count, span=span, confidence=confidence)

    return Means(
        base=resampled(before, span),
        tuned=resampled(after, span),
        difference=resampled(after - before, reach),
        span=span,
        replicates=(after - before)[1:],
    )


def compare_skill(pair: Pair) -> PairSkill:
    """What the option scores of both models tell of the right answers, apart from a preference for one of them."""
    return PairSkill(base=model_skill(pair.base.options), tuned=model_skill(pair.tuned.options))


def score_models(pair: Pair, columns: Columns, means: Means, skill: PairSkill, *, confidence: float) -> Models:
    """Everything reported of the two models on one task."""
    base = _score_model(pair.base, pair.base_dev, columns, means.base, skill.base, confidence=confidence)
    tuned = _score_model(pair.tuned, pair.tuned_dev, columns, means.tuned, skill.tuned, confidence=confidence)
    return Models(base=base, tuned=tuned)


def mcnemar_of(pair: Pair, column: Column) -> float | None:
    """Exact McNemar p-value over rows; None when the metric is not right-or-wrong, or rows are not independent."""
    if not column.metric.is_binary or (pair.base.is_grouped and not column.metric.is_per_group):
        return None
    return statistics.mcnemar_p(pair.base.cells(column)[..., 0], pair.tuned.cells(column)[..., 0])


def clean_scores(pair: Pair, column: Column, flagged: Collection[int], *, seed: int, confidence: float) -> CleanScores:
    """What both models score on the rows of which training saw nothing; None everywhere when no row is left.

    Where a group counts once, it is left out whole.
    """
    dropped = pair.base.rows_of_groups(flagged) if column.metric.is_per_group else {*pair.base.rows} & {*flagged}
    clean = pair.without(dropped) if dropped else pair
    if not clean.base.rows:
        return CleanScores(examples=0, flagged=len(dropped), base=None, tuned=None, difference=None)
    means = compare_means(clean, column, seed=seed, confidence=confidence)
    return CleanScores(
        examples=len(clean.base.rows),
        flagged=len(dropped),
        base=estimate(means.base, confidence=confidence, span=means.span),
        tuned=estimate(means.tuned, confidence=confidence, span=means.span),
        difference=difference_estimate(means.difference, confidence=confidence, span=_difference_span(means.span)),
    )


def template_scores(metric: Metric, cells: Floats) -> list[float]:
    """The score of each template; ``cells`` is [rows, templates, k]."""
    if metric.score is None:
        return [_within(float(value), metric.span) for value in np.nanmean(cells[..., 0], axis=0)]
    ones = np.ones((1, len(cells)))
    return [_within(float(_corpus(metric, cells[:, at], ones)[0]), metric.span) for at in range(cells.shape[1])]


def estimate(mean: Mean, *, confidence: float, span: Span) -> Estimate:
    """A mean with its interval, as ``results.json`` has it."""
    interval = interval_of(mean, confidence=confidence, span=span)
    return Estimate(value=mean.value, low=interval.low, high=interval.high, se=mean.se)


def bootstrap_interval(replicates: Floats, *, confidence: float) -> Bootstrap | None:
    """A difference's percentile interval and p-value; None when all replicates agree, which proves nothing."""
    if np.ptp(replicates) < 1e-12:
        return None
    interval = statistics.percentile_interval(replicates, confidence=confidence)
    return Bootstrap(low=interval.low, high=interval.high, p=statistics.bootstrap_p(replicates))


def task_difference(means: Means, *, confidence: float) -> Difference:
    """A task's paired difference as ``results.json`` has it."""
    return difference_estimate(means.difference, confidence=confidence, span=_difference_span(means.span))


def _score_model(
    table: Table, dev: Table | None, columns: Columns, mean: Mean, skill: ModelSkill | None, *, confidence: float
) -> ModelScores:
    templates = _templates(table, dev, columns, skill, confidence=confidence)
    values = [template.value for template in templates]
    spread = spread_over_templates(values)
    best, worst = _best_on_dev(templates), min(templates, key=lambda template: template.value)
    metrics = {column.metric.name: column.metric for column in (columns.headline, *columns.others)}
    span = columns.headline.metric.span
    return ModelScores(
        mean=estimate(mean, confidence=confidence, span=span),
        std=spread.std,
        median=_within(spread.median, span),
        iqr=spread.iqr,
        range=spread.range,
        worst_template=worst.template,
        worst=worst.value,
        best_dev_template=best.template if best else None,
        best_dev_test=best.value if best else None,
        agreement=agreement_rate(table.answers),
        ties=table.ties,
        tie_rules={column.ties: _mean_over_templates(table, column) for column in columns.tie_rules},
        normalizations={column.normalization: _mean_over_templates(table, column) for column in columns.variants},
        templates=templates,
        metrics={
            name: _mean([template.metrics[name] for template in templates], metric.span)
            for name, metric in metrics.items()
        },
        skill=None if skill is None else skill.result(confidence=confidence),
    )


def _templates(
    table: Table, dev: Table | None, columns: Columns, skill: ModelSkill | None, *, confidence: float
) -> tuple[TemplateScores, ...]:
    scores = {c.metric.name: template_scores(c.metric, table.cells(c)) for c in (columns.headline, *columns.others)}
    headline = columns.headline
    on_dev = dict(zip(dev.templates, template_scores(headline.metric, dev.cells(headline)), strict=True)) if dev else {}
    intervals = _intervals(table, headline, confidence=confidence)
    return tuple(
        TemplateScores(
            template=name,
            value=scores[headline.metric.name][at],
            low=intervals[at].low if intervals else None,
            high=intervals[at].high if intervals else None,
            dev=on_dev.get(name),
            metrics={metric: values[at] for metric, values in scores.items()},
            discrimination=skill.template("discrimination", at) if skill else None,
            calibrated_accuracy=skill.template("calibrated_accuracy", at) if skill else None,
        )
        for at, name in enumerate(table.templates)
    )


def _intervals(table: Table, column: Column, *, confidence: float) -> list[Interval]:
    """The interval of each template's score; empty for metrics that are no means over rows."""
    if column.metric.score is not None:
        return []
    cells, span = table.cells(column)[..., 0], column.metric.span
    groups = table.groups if table.is_grouped else None
    means = [
        statistics.clustered_mean(cells[:, [at]], span=span, confidence=confidence, groups=groups)
        for at in range(cells.shape[1])
    ]
    return [interval_of(mean, confidence=confidence, span=span) for mean in means]


def _best_on_dev(templates: Sequence[TemplateScores]) -> TemplateScores | None:
    """The template that does best on the dev rows, the first of equals; test scores have no say.

    Paper: FLAN 2021, section 2.3.
    """
    measured = [(template.dev, template) for template in templates if template.dev is not None]
    return max(measured, key=lambda pair: pair[0])[1] if measured else None


def _resampled(metric: Metric, cells: Floats, *, seed: int, groups: statistics.Integers | None) -> Floats:
    """A corpus metric's mean over templates, as it is and on bootstrap replicates of the rows."""

    def mean_over_templates(weights: Floats) -> Floats:
        scores = [_corpus(metric, cells[:, at], weights) for at in range(cells.shape[1])]
        return np.asarray(np.mean(scores, axis=0))

    return statistics.resample(
        mean_over_templates,
        examples=len(cells),
        replicates=metric.replicates or REPLICATES,
        seed=seed,
        groups=groups,
    )


def _corpus(metric: Metric, notes: Floats, weights: Floats) -> Floats:
    """A corpus metric without the prompts that were dropped."""
    if metric.score is None:
        raise TypeError(f"{metric.name} is no corpus metric")
    is_there = ~np.isnan(notes).any(axis=1)
    return metric.score(notes[is_there], weights[:, is_there])


def _mean_over_templates(table: Table, column: Column) -> float:
    return _mean(template_scores(column.metric, table.cells(column)), column.metric.span)


def _mean(values: Sequence[float], span: Span) -> float:
    return _within(float(np.mean(values)), span)


def _difference_span(span: Span) -> Span:
    return (span[0] - span[1], span[1] - span[0])


def _within(value: float, span: Span) -> float:
    # Sums of floats can pass an end by a rounding error.
    return min(max(value, span[0]), span[1])
