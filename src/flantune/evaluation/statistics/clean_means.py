"""Models on the rows that they had not seen while they were trained."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from flantune.evaluation.metrics.graders import MetricColumn
from flantune.evaluation.statistics.grades import GradeTable
from flantune.evaluation.statistics.pairs import ModelMeans, Pair, compare_means

Seen = Mapping[str, Collection[int] | None]
"""Model → rows that it has seen; None: nobody looked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanMeans:
    """Models on the rows that none of them has seen.

    Attributes:
        examples: How many rows.
        flagged: How many were left out.
        means: Their means, and the difference of two; None when no row is left.
    """

    examples: int
    flagged: int
    means: ModelMeans | None


def clean_alone(
    tables: Mapping[str, GradeTable], seen: Seen, column: MetricColumn, *, seed: int, confidence: float
) -> dict[str, CleanMeans]:
    """Each model that has seen some rows, without them."""
    found = {}
    for name, table in tables.items():
        flagged = _flagged(table, column, seen[name] or ())
        if flagged:
            left = {name: table.without(flagged)}
            found[name] = _clean(left, {}, column, flagged=len(flagged), seed=seed, confidence=confidence)
    return found


def clean_pairs(
    pairs: Mapping[str, Pair], first: str, seen: Seen, column: MetricColumn, *, seed: int, confidence: float
) -> dict[str, CleanMeans]:
    """Each later model and the first without what either has seen, where somebody looked."""
    found = {}
    for name, pair in pairs.items():
        known = [rows for rows in (seen[first], seen[name]) if rows is not None]
        if not known:
            continue
        flagged = _flagged(pair.first, column, frozenset[int]().union(*known))
        left = pair.without(flagged)
        tables = {first: left.first, name: left.second}
        found[name] = _clean(tables, {name: left}, column, flagged=len(flagged), seed=seed, confidence=confidence)
    return found


def _clean(
    tables: Mapping[str, GradeTable],
    pairs: Mapping[str, Pair],
    column: MetricColumn,
    *,
    flagged: int,
    seed: int,
    confidence: float,
) -> CleanMeans:
    examples = len(next(iter(tables.values())).rows)
    means = compare_means(tables, pairs, column, seed=seed, confidence=confidence).means if examples else None
    return CleanMeans(examples=examples, flagged=flagged, means=means)


def _flagged(table: GradeTable, column: MetricColumn, rows: Collection[int]) -> frozenset[int]:
    """Which of a table's rows are among these; where a group counts once, with the rest of their groups."""
    return table.rows_of_groups(rows) if column.metric.is_per_group else frozenset(table.rows) & frozenset(rows)
