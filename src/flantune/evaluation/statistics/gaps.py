"""Gaps between groups of rows: two means, their difference, and its change in a later model.

Rows that share a group of the exam (a sentence with "he", and the same with "she") are correlated: what they have in
common cancels out of the difference. If the two groups have different texts, the difference is that of two independent
means; the same sum over groups covers both cases, and all between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flantune.evaluation.estimates import Difference
from flantune.evaluation.exams import RowGap
from flantune.evaluation.group_gaps import Gap, GapChange, GroupScores
from flantune.evaluation.metrics.graders import MetricColumn
from flantune.evaluation.statistics.grades import GradeTable
from flantune.evaluation.statistics.intervals import kish
from flantune.evaluation.statistics.means import (
    SCORE,
    Mean,
    Share,
    clustered_mean,
    combine,
    false_discovery_rates,
    measured_mean,
)
from flantune.evaluation.statistics.pairs import Pair, difference_estimate, score_estimate, span_of

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Span = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMeans:
    """One model on two groups; see ``GroupScores``."""

    first: Mean
    second: Mean
    gap: Mean
    same_answer: Mean | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GapMeans:
    """Two groups of an exam's rows, compared.

    Attributes:
        first: Name of the first group.
        second: Name of the second.
        examples: Rows of each group.
        pairs: Rows of the first with a counterpart in the second.
        span: Lowest and highest score possible.
        scores: Model → its means.
        differences: Later model → its gap minus the first model's.
    """

    first: str
    second: str
    examples: tuple[int, int]
    pairs: int
    span: Span
    scores: Mapping[str, GroupMeans]
    differences: Mapping[str, Mean]


def compare_groups(
    gaps: Iterable[RowGap],
    tables: Mapping[str, GradeTable],
    pairs: Mapping[str, Pair],
    column: MetricColumn,
    *,
    confidence: float,
) -> tuple[GapMeans, ...]:
    """The gaps of an exam for every model; a gap needs two rows of each group that every model answered.

    Args:
        gaps: The groups.
        tables: Model → its answers, the first model first.
        pairs: Later model → the rows it shares with the first.
        column: The metric; scores that are not means over rows have no gaps.
        confidence: Level of the intervals.
    """
    if column.metric.score is not None or column.metric.is_per_group:
        return ()
    found = (_compared(gap, tables, pairs, column, confidence=confidence) for gap in gaps)
    return tuple(one for one in found if one is not None)


def _compared(
    gap: RowGap, tables: Mapping[str, GradeTable], pairs: Mapping[str, Pair], column: MetricColumn, *, confidence: float
) -> GapMeans | None:
    span = span_of(column, *tables.values())
    sides = {name: _sides(gap, table) for name, table in tables.items()}
    if any((side > 0).sum() < 2 or (side < 0).sum() < 2 for side in sides.values()):
        return None
    first = next(iter(tables))
    scores = {
        name: _group_means(table, table.cells(column)[..., 0], sides[name], span=span, confidence=confidence)
        for name, table in tables.items()
    }
    differences = {}
    for name, pair in pairs.items():
        was, now = pair.cells(column)
        differences[name] = gap_mean(
            (now - was)[..., 0],
            _sides(gap, pair.first),
            pair.first.groups,
            span=(span[0] - span[1], span[1] - span[0]),
            confidence=confidence,
        )
    side, groups = sides[first], tables[first].groups
    shared = set(groups[side > 0].tolist()) & set(groups[side < 0].tolist())
    return GapMeans(
        first=gap.first,
        second=gap.second,
        examples=(int((side > 0).sum()), int((side < 0).sum())),
        pairs=sum(group in shared for group in groups[side > 0].tolist()),
        span=span,
        scores=scores,
        differences=differences,
    )


def _sides(gap: RowGap, table: GradeTable) -> Integers:
    """1 for rows of the first group, −1 for those of the second, 0 for all others."""
    return np.array([(row in gap.first_rows) - (row in gap.second_rows) for row in table.rows], dtype=np.int64)


def _group_means(table: GradeTable, cells: Floats, side: Integers, *, span: Span, confidence: float) -> GroupMeans:
    def mean(rows: NDArray[np.bool_]) -> Mean:
        groups = np.unique(table.groups[rows], return_inverse=True)[1]
        return clustered_mean(cells[rows], span=span, confidence=confidence, groups=groups)

    return GroupMeans(
        first=mean(side > 0),
        second=mean(side < 0),
        gap=gap_mean(cells, side, table.groups, span=span, confidence=confidence),
        same_answer=_same_answer(table, side, confidence=confidence),
    )


def gap_mean(cells: Floats, side: Integers, groups: Integers, *, span: Span, confidence: float) -> Mean:
    """The mean of one group of rows minus that of another; shape of ``cells``: [rows, templates], nan where missing.

    Args:
        cells: Scores of the rows under each template.
        side: 1 for rows of the first group, −1 for those of the second, 0 for rows of neither, shape [rows].
        groups: Group of each row: rows of a group are one observation, shape [rows].
        span: Lowest and highest possible value of a cell.
        confidence: Level at which the interval will be asked for.

    >>> he_she = np.array([[1.0], [1.0], [0.0], [0.0], [1.0], [0.0]])
    >>> side, pairs = np.array([1, -1, 1, -1, 1, -1]), np.array([0, 0, 1, 1, 2, 2])
    >>> paired = gap_mean(he_she, side, pairs, span=SCORE, confidence=0.95)
    >>> apart = gap_mean(he_she, side, np.arange(6), span=SCORE, confidence=0.95)
    >>> round(paired.value, 3), round(paired.se, 3), round(apart.se, 3)
    (0.333, 0.333, 0.471)
    """
    is_there = (side != 0) & ~np.isnan(cells).all(axis=1)
    units, side = np.nanmean(cells[is_there], axis=1), side[is_there]
    members = np.unique(groups[is_there], return_inverse=True)[1]
    counts = np.where(side > 0, (side > 0).sum(), (side < 0).sum())
    means = np.where(side > 0, units[side > 0].mean(), units[side < 0].mean())
    value = float(units[side > 0].mean() - units[side < 0].mean())
    # Each observation's contribution to the difference, and its expected contribution to the variance.
    added = np.bincount(members, weights=side * (units - means) / counts)
    expected = np.bincount(members, weights=1.0 / counts**2).astype(np.float64)
    observations = float(kish(expected))
    # Two means were fitted, each to half of the observations, unless every observation has rows of both groups.
    is_paired = np.unique(np.stack((members, side)), axis=1).shape[1] == 2 * len(added)
    fitted = 1.0 if is_paired else 2.0
    variance = float((added**2).sum()) * observations / max(observations - fitted, 1.0)
    width = span[1] - span[0]
    return measured_mean(
        value, se=math.sqrt(variance), examples=observations, span=(-width, width), confidence=confidence
    )


def _same_answer(table: GradeTable, side: Integers, *, confidence: float) -> Mean | None:
    """How often the two rows of a pair get the same answer; a group with several rows of one side is not a pair."""
    rows: dict[int, list[list[int]]] = {}
    for at, (group, sign) in enumerate(zip(table.groups.tolist(), side.tolist(), strict=True)):
        if sign:
            rows.setdefault(group, [[], []])[sign < 0].append(at)
    pairs = [(one[0], other[0]) for one, other in rows.values() if len(one) == len(other) == 1]
    if not pairs:
        return None
    one, other = (table.answers[list(places)] for places in zip(*pairs, strict=True))
    same = np.where((one < 0) | (other < 0), np.nan, (one == other).astype(np.float64))
    return clustered_mean(same, span=SCORE, confidence=confidence)


def mean_gap(gaps: Sequence[tuple[float, str, GapMeans]]) -> GapMeans:
    """One gap averaged over the parts of a benchmark.

    Args:
        gaps: Weight, key and gap of each part; weights sum to one.
    """
    parts = [gap for _, _, gap in gaps]

    def over(read: Callable[[GapMeans], Mean]) -> Mean:
        return combine(Share(task=key, weight=weight, mean=read(gap)) for weight, key, gap in gaps)

    def model(name: str) -> GroupMeans:
        is_paired = all(gap.scores[name].same_answer is not None for gap in parts)
        return GroupMeans(
            first=over(lambda gap: gap.scores[name].first),
            second=over(lambda gap: gap.scores[name].second),
            gap=over(lambda gap: gap.scores[name].gap),
            same_answer=over(lambda gap: gap.scores[name].same_answer or gap.scores[name].first) if is_paired else None,
        )

    return GapMeans(
        first=parts[0].first,
        second=parts[0].second,
        examples=(sum(gap.examples[0] for gap in parts), sum(gap.examples[1] for gap in parts)),
        pairs=sum(gap.pairs for gap in parts),
        span=parts[0].span,
        scores={name: model(name) for name in parts[0].scores},
        differences={name: over(lambda gap, name=name: gap.differences[name]) for name in parts[0].differences},  # type: ignore[misc]
    )


def gap_result(found: GapMeans, *, confidence: float) -> Gap:
    """A gap in the format of ``results.json``; its false discovery rate is set when all are compared."""
    width = found.span[1] - found.span[0]

    def difference(mean: Mean, reach: float) -> Difference:
        return difference_estimate(mean, confidence=confidence, span=(-reach, reach))

    return Gap(
        first=found.first,
        second=found.second,
        examples=found.examples,
        pairs=found.pairs,
        scores={
            name: GroupScores(
                first=score_estimate(one.first, confidence=confidence, span=found.span),
                second=score_estimate(one.second, confidence=confidence, span=found.span),
                gap=difference(one.gap, width),
                same_answer=None
                if one.same_answer is None
                else score_estimate(one.same_answer, confidence=confidence, span=SCORE),
            )
            for name, one in found.scores.items()
        },
        differences={
            name: GapChange(**difference(mean, 2.0 * width).model_dump(), q=None)
            for name, mean in found.differences.items()
        },
    )


def with_gap_rates(parts: Sequence[tuple[Gap, ...]]) -> list[tuple[Gap, ...]]:
    """The gaps of a benchmark's parts with false discovery rates among all of them, for each model."""
    flat = [gap for gaps in parts for gap in gaps]
    rates: dict[str, list[float]] = {
        name: list(false_discovery_rates([gap.differences[name].p for gap in flat]))
        for name in (flat[0].differences if flat else ())
    }
    rated = iter(
        gap.model_copy(
            update={
                "differences": {
                    name: change.model_copy(update={"q": rates[name][at]}) for name, change in gap.differences.items()
                }
            }
        )
        for at, gap in enumerate(flat)
    )
    return [tuple(next(rated) for _ in gaps) for gaps in parts]
