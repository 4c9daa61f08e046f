"""Two models' tables of one task, turned into scores, spreads and a paired difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flantune.errors import EvaluationError
from flantune.evaluation import statistics
from flantune.evaluation.metrics import Metric
from flantune.evaluation.results import Estimate, Models, ModelScores, TemplateScores
from flantune.evaluation.statistics import DIFFERENCE, SCORE, Mean, t_interval
from flantune.evaluation.tables import Column, Columns, Table

Floats = NDArray[np.float64]

REPLICATES = 1000
"""Bootstrap replicates of a corpus metric."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a task adds to the means of clusters: mean over templates, before, after, and the paired difference."""

    base: Mean
    tuned: Mean
    difference: Mean


def check_same_cells(pair: Pair, *, where: str) -> None:
    """Refuses to compare two models on different prompts.

    Raises:
        EvaluationError: Rows, templates or dropped prompts differ between the two.
    """
    base, tuned = pair.base, pair.tuned
    is_same = base.rows == tuned.rows and base.templates == tuned.templates
    if is_same:
        key = next(iter(base.notes))
        is_same = bool((np.isnan(base.notes[key]) == np.isnan(tuned.notes[key])).all())
    if not is_same:
        raise EvaluationError(
            "the base model and the tuned model were asked different prompts",
            where=where,
            hint="repeat the run: it scores again what was made with other settings",
        )


def compare_means(pair: Pair, column: Column, *, seed: int, confidence: float) -> Means:
    """Means over templates with standard errors clustered by row, and the paired difference.

    Paper: FLAN 2021, section 2.3 (mean over templates as what a typical instruction gives).
    """
    base, tuned = pair.base.cells(column), pair.tuned.cells(column)
    if column.metric.score is None:
        return Means(
            base=statistics.clustered_mean(base[..., 0], span=SCORE, confidence=confidence),
            tuned=statistics.clustered_mean(tuned[..., 0], span=SCORE, confidence=confidence),
            difference=statistics.clustered_mean((tuned - base)[..., 0], span=DIFFERENCE, confidence=confidence),
        )
    before, after = (_resampled(column.metric, cells, seed=seed) for cells in (base, tuned))
    rows = len(base)
    return Means(
        base=statistics.bootstrap_mean(before, examples=rows, span=SCORE, confidence=confidence),
        tuned=statistics.bootstrap_mean(after, examples=rows, span=SCORE, confidence=confidence),
        difference=statistics.bootstrap_mean(after - before, examples=rows, span=DIFFERENCE, confidence=confidence),
    )


def score_models(pair: Pair, columns: Columns, means: Means, *, confidence: float) -> Models:
    """Everything reported of the two models on one task."""
    base = _score_model(pair.base, pair.base_dev, columns, means.base, confidence=confidence)
    tuned = _score_model(pair.tuned, pair.tuned_dev, columns, means.tuned, confidence=confidence)
    return Models(base=base, tuned=tuned)


def mcnemar_of(pair: Pair, column: Column) -> float | None:
    """Exact McNemar p-value over rows; None when the metric is not right-or-wrong."""
    if not column.metric.is_binary:
        return None
    return statistics.mcnemar_p(pair.base.cells(column)[..., 0], pair.tuned.cells(column)[..., 0])


def template_scores(metric: Metric, cells: Floats) -> list[float]:
    """The score of each template, in [0, 1]; ``cells`` is [rows, templates, k]."""
    if metric.score is None:
        return [_share(float(value)) for value in np.nanmean(cells[..., 0], axis=0)]
    ones = np.ones((1, len(cells)))
    return [_share(float(_corpus(metric, cells[:, at], ones)[0])) for at in range(cells.shape[1])]


def estimate(mean: Mean, *, confidence: float, span: tuple[float, float]) -> Estimate:
    """A mean with its interval, as ``results.json`` has it."""
    interval = t_interval(mean, confidence=confidence, span=span)
    return Estimate(value=mean.value, low=interval.low, high=interval.high, se=mean.se)


def _score_model(table: Table, dev: Table | None, columns: Columns, mean: Mean, *, confidence: float) -> ModelScores:
    templates = _templates(table, dev, columns)
    values = [template.value for template in templates]
    spread = statistics.spread_over_templates(values)
    best = _best_on_dev(templates)
    names = [column.metric.name for column in (columns.headline, *columns.others)]
    return ModelScores(
        mean=estimate(mean, confidence=confidence, span=SCORE),
        std=spread.std,
        median=_share(spread.median),
        iqr=_share(spread.iqr),
        best_dev_template=best.template if best else None,
        best_dev_test=best.value if best else None,
        ties=table.ties,
        normalizations={c.normalization: _mean(template_scores(c.metric, table.cells(c))) for c in columns.variants},
        templates=templates,
        metrics={name: _mean([template.metrics[name] for template in templates]) for name in names},
    )


def _templates(table: Table, dev: Table | None, columns: Columns) -> tuple[TemplateScores, ...]:
    scores = {c.metric.name: template_scores(c.metric, table.cells(c)) for c in (columns.headline, *columns.others)}
    headline = columns.headline
    on_dev = dict(zip(dev.templates, template_scores(headline.metric, dev.cells(headline)), strict=True)) if dev else {}
    return tuple(
        TemplateScores(
            template=name,
            value=scores[headline.metric.name][at],
            dev=on_dev.get(name),
            metrics={metric: values[at] for metric, values in scores.items()},
        )
        for at, name in enumerate(table.templates)
    )


def _best_on_dev(templates: Sequence[TemplateScores]) -> TemplateScores | None:
    """The template that does best on the dev rows, the first of equals; test scores have no say.

    Paper: FLAN 2021, section 2.3.
    """
    measured = [template for template in templates if template.dev is not None]
    return max(measured, key=lambda template: template.dev or 0.0, default=None)


def _resampled(metric: Metric, cells: Floats, *, seed: int) -> Floats:
    """A corpus metric's mean over templates, as it is and on bootstrap replicates of the rows."""

    def mean_over_templates(weights: Floats) -> Floats:
        scores = [_corpus(metric, cells[:, at], weights) for at in range(cells.shape[1])]
        return np.asarray(np.mean(scores, axis=0))

    return statistics.resample(mean_over_templates, examples=len(cells), replicates=REPLICATES, seed=seed)


def _corpus(metric: Metric, notes: Floats, weights: Floats) -> Floats:
    """A corpus metric without the prompts that were dropped."""
    if metric.score is None:
        raise TypeError(f"{metric.name} is no corpus metric")
    is_there = ~np.isnan(notes).any(axis=1)
    return metric.score(notes[is_there], weights[:, is_there])


def _mean(values: Sequence[float]) -> float:
    return _share(float(np.mean(values)))


def _share(value: float) -> float:
    # Sums of floats can pass 1 by a rounding error.
    return min(max(value, 0.0), 1.0)
