"""Scores of models on rows that they have not seen in training."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flantune.evaluation.metrics.graders import MetricColumn
from flantune.evaluation.statistics.gaps import gap_mean
from flantune.evaluation.statistics.grades import GradeTable
from flantune.evaluation.statistics.means import Mean, bootstrap_mean
from flantune.evaluation.statistics.pairs import ModelMeans, Pair, compare_means, resampled_scores, span_of

Seen = Mapping[str, Collection[int] | None]
"""Model → rows that it has seen; None: not checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanMeans:
    """Scores of models on rows that none of them has seen.

    Attributes:
        examples: Number of clean rows.
        flagged: Number of rows left out.
        means: Their means, and the difference of two; None if no row is left.
        changes: The same minus those on all rows; None if no row was left out, or none is left.
    """

    examples: int
    flagged: int
    means: ModelMeans | None
    changes: ModelMeans | None = None


def clean_alone(
    tables: Mapping[str, GradeTable], seen: Seen, column: MetricColumn, *, seed: int, confidence: float
) -> dict[str, CleanMeans]:
    """Each model that has seen some rows, without them."""
    found = {}
    for name, table in tables.items():
        flagged = _flagged(table, column, seen[name] or ())
        if flagged:
            whole = _Whole(tables={name: table}, pairs={}, flagged=flagged)
            found[name] = _clean(whole, column, seed=seed, confidence=confidence)
    return found


def clean_pairs(
    pairs: Mapping[str, Pair], first: str, seen: Seen, column: MetricColumn, *, seed: int, confidence: float
) -> dict[str, CleanMeans]:
    """Each later model and the first, without rows that either has seen, if checked."""
    found = {}
    for name, pair in pairs.items():
        known = [rows for rows in (seen[first], seen[name]) if rows is not None]
        if not known:
            continue
        flagged = _flagged(pair.first, column, frozenset[int]().union(*known))
        whole = _Whole(tables={first: pair.first, name: pair.second}, pairs={name: pair}, flagged=flagged)
        found[name] = _clean(whole, column, seed=seed, confidence=confidence)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Whole:
    """One or two models on all rows, and the rows to leave out."""

    tables: Mapping[str, GradeTable]
    pairs: Mapping[str, Pair]
    flagged: frozenset[int]


def _clean(whole: _Whole, column: MetricColumn, *, seed: int, confidence: float) -> CleanMeans:
    tables = {name: table.without(whole.flagged) for name, table in whole.tables.items()}
    pairs = {name: pair.without(whole.flagged) for name, pair in whole.pairs.items()}
    examples, flagged = len(next(iter(tables.values())).rows), len(whole.flagged)
    if not examples:
        return CleanMeans(examples=0, flagged=flagged, means=None)
    means = compare_means(tables, pairs, column, seed=seed, confidence=confidence).means
    if not flagged:
        return CleanMeans(examples=examples, flagged=0, means=means)

    def change(*of: GradeTable) -> Mean:
        return _change(of, whole.flagged, column, seed=seed, confidence=confidence)

    changes = ModelMeans(
        scores={name: change(table) for name, table in whole.tables.items()},
        differences={name: change(pair.first, pair.second) for name, pair in whole.pairs.items()},
    )
    return CleanMeans(examples=examples, flagged=flagged, means=means, changes=changes)


def _change(
    of: Sequence[GradeTable], flagged: frozenset[int], column: MetricColumn, *, seed: int, confidence: float
) -> Mean:
    """A score on the clean rows minus that on all rows; for two tables, that of the second minus that of the first.

    Clean rows are among all rows, so the change is the flagged rows' share of the difference between clean and flagged
    rows: what both scores have in common cancels out.
    """
    first, last = of[0], of[-1]
    low, high = span_of(column, *of)
    width = (high - low) * len(of)
    kept = np.array([row not in flagged for row in first.rows], dtype=bool)
    if column.metric.score is None:
        cells = (last.cells(column) - first.cells(column) if len(of) > 1 else first.cells(column))[..., 0]
        is_there = ~np.isnan(cells).all(axis=1)
        if not (is_there & ~kept).any() or not (is_there & kept).any():
            return Mean(value=0.0, se=0.0, df=1.0)
        side = np.where(kept, 1, -1)
        gap = gap_mean(cells, side, first.groups, span=(0.0, width), confidence=confidence)
        share = float((is_there & ~kept).sum() / is_there.sum())
        return Mean(value=gap.value * share, se=gap.se * share, df=gap.df)
    every = [resampled_scores(table, column, seed=seed) for table in of]
    clean = [resampled_scores(table, column, seed=seed, kept=kept) for table in of]
    changes = [np.nan_to_num(one - other) for one, other in zip(clean, every, strict=True)]
    change = changes[-1] - changes[0] if len(of) > 1 else changes[0]
    count = int(first.groups.max()) + 1
    mean = bootstrap_mean(change, examples=count, span=(-width, width), confidence=confidence)
    return replace(mean, reach=None)


def _flagged(table: GradeTable, column: MetricColumn, rows: Collection[int]) -> frozenset[int]:
    """Which of a table's rows are among these; if groups count once, with the rest of their groups."""
    return table.rows_of_groups(rows) if column.metric.is_per_group else frozenset(table.rows) & frozenset(rows)
