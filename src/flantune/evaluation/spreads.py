"""How much the rows and templates of exams differ, estimated from a few answers, and the weights of exams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flantune.evaluation.budget import Matrix, Spread
from flantune.evaluation.statistics.averages import Weighed
from flantune.evaluation.statistics.pairs import Pair, compare_means

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flantune.evaluation.exams import Exam
    from flantune.evaluation.statistics.grades import GradeTable

    Floats = NDArray[np.float64]


def exam_weights(exams: Sequence[Exam], matrices: Sequence[Matrix]) -> list[dict[int, float]]:
    """The reported means, each as indices of its exams → their weights.

    For a benchmark, the first of its averages; for tasks, the mean over clusters of the mean over their tasks.
    """
    scores = dict.fromkeys(exam.score for exam in exams)
    return [_weights([at for at, exam in enumerate(exams) if exam.score == score], exams, matrices) for score in scores]


def _weights(members: Sequence[int], exams: Sequence[Exam], matrices: Sequence[Matrix]) -> dict[int, float]:
    if exams[members[0]].score:
        counted = [
            Weighed(name=exams[at].name, groups=exams[at].groups, questions=matrices[at].count) for at in members
        ]
        found = exams[members[0]].averages(counted)[0].weights
        return {at: found.get(exams[at].name, 0.0) for at in members}
    clusters: dict[str, list[int]] = {}
    for at in members:
        for cluster in exams[at].groups or (exams[at].key,):
            clusters.setdefault(cluster, []).append(at)
    weights = dict.fromkeys(members, 0.0)
    for tasks in clusters.values():
        for at in tasks:
            weights[at] += 1.0 / (len(clusters) * len(tasks))
    return weights


def spread_of(tables: Sequence[GradeTable], matrix: Matrix, *, weight: float, confidence: float) -> Spread:
    """The spread of an exam by a pilot's answers; among several models, that of the largest difference from the first.

    Args:
        tables: The pilot's answers of every model, the first model first.
        matrix: All its questions.
        weight: Weight of the exam in the reported mean.
        confidence: Level of the intervals.
    """
    found = [_moments(first_and_later, confidence=confidence) for first_and_later in _compared(tables)]
    between, within = max(found, key=sum)
    return Spread(rows=len(matrix.rows), templates=matrix.templates, weight=weight, between=between, within=within)


def _compared(tables: Sequence[GradeTable]) -> list[tuple[GradeTable, ...]]:
    return [(tables[0], later) for later in tables[1:]] or [(tables[0],)]


def _moments(tables: tuple[GradeTable, ...], *, confidence: float) -> tuple[float, float]:
    """Variance between rows, and between the templates of a row."""
    column = tables[0].columns.headline
    units = int(tables[0].groups.max()) + 1
    # As if one more row had differed: a few that agree do not prove that all do.
    least = (units + 1) / (units + 2) ** 2
    if column.metric.score is not None or column.metric.is_per_group:
        named = {str(at): table for at, table in enumerate(tables)}
        pairs = {"1": Pair(first=tables[0], second=tables[1])} if len(tables) > 1 else {}
        means = compare_means(named, pairs, column, seed=0, confidence=confidence).means
        se = (means.differences.get("1") or means.scores["0"]).se
        return max(se**2 * units, least), 0.0
    cells = [table.cells(column)[..., 0] for table in tables]
    change = cells[0] if len(cells) == 1 else cells[1] - cells[0]
    groups = tables[0].groups
    by_template = _unit_means(change, groups, units)
    asked = (~np.isnan(by_template)).sum(axis=1)
    several = by_template[asked > 1]
    within = float(np.nanvar(several, axis=1, ddof=1).mean()) if len(several) else 0.0
    whole = np.nanmean(by_template[asked > 0], axis=1)
    between = float(whole.var(ddof=1)) - within / max(1.0, float(asked[asked > 0].mean())) if len(whole) > 1 else 1.0
    return max(between, least), within


def _unit_means(cells: Floats, groups: NDArray[np.int64], units: int) -> Floats:
    """Each group's mean under each template, [groups, templates]; nan if it was not asked."""
    is_there = ~np.isnan(cells)
    sums, counts = np.zeros((units, cells.shape[1])), np.zeros((units, cells.shape[1]))
    np.add.at(sums, groups, np.where(is_there, cells, 0.0))
    np.add.at(counts, groups, is_there)
    with np.errstate(invalid="ignore"):
        means: Floats = sums / np.where(counts > 0, counts, np.nan)
    return means
