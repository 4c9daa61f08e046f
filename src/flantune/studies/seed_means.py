"""A study's numbers for one seed: every arm's score and paired difference, and lines through arms, over rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flantune.evaluation.statistics.means import Mean, Share, combine
from flantune.evaluation.statistics.over_templates import spread_over_templates
from flantune.evaluation.statistics.pairs import template_scores
from flantune.studies.arm_runs import ArmRun, Cell, weights_of
from flantune.studies.contrasts import TaskGrades, contrast, slope_weights
from flantune.studies.study import Reads, Study

_FEWEST_PLACES = 3
"""Two points always lie on a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMeans:
    """One task of an arm.

    Attributes:
        cell: Where it counts.
        score: The arm's score.
        base: The score of the base model of its run; None if not measured.
        difference: The arm minus what it is paired with; None if there is nothing.
        chance: The score of guessing.
        metric: The headline metric.
        rows: Rows measured.
        rows_sha256: A digest that identifies the rows.
        templates: Templates that each row was asked with.
        template_std: Standard deviation over templates; None with one.
    """

    cell: Cell
    score: Mean
    base: Mean | None
    difference: Mean | None
    chance: float
    metric: str
    rows: int
    rows_sha256: str
    templates: int
    template_std: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmMeans:
    """One arm with one seed.

    Attributes:
        score: Its score.
        base: The score of the base model of its run.
        difference: The arm minus what it is paired with, over the tasks that both have.
        compared: The number of these tasks.
        chance: The score of guessing.
        tasks: Its tasks.
    """

    score: Mean
    base: Mean | None
    difference: Mean | None
    compared: int
    chance: float
    tasks: tuple[TaskMeans, ...]

    @property
    def rows(self) -> frozenset[str]:
        """Identifies the rows of all its tasks."""
        return frozenset(f"{one.cell.task} {one.rows_sha256}" for one in self.tasks)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedMeans:
    """All numbers of a study with one seed.

    Attributes:
        arms: Arm → its numbers.
        slopes: Series → the slope of the line through its arms.
        overall: The mean over arms of their differences; None if there are none.
    """

    arms: Mapping[str, ArmMeans]
    slopes: Mapping[str, Mean]
    overall: Mean | None


def seed_means(
    study: Study,
    runs: Sequence[ArmRun],
    *,
    confidence: float,
    benchmarks: Mapping[str, Sequence[TaskMeans]] | None = None,
) -> SeedMeans:
    """The numbers of the runs with one seed; only one task's answers are in memory at a time.

    Args:
        study: The study.
        runs: The finished runs with one seed, one per arm.
        confidence: Level of the intended intervals.
        benchmarks: Arm that is measured by benchmarks → its numbers.

    Raises:
        EvaluationError: Answers are missing or damaged.
    """
    lines = _lines(study, runs)
    found: dict[str, list[TaskMeans]] = {run.arm.name: [] for run in runs}
    slopes: dict[str, list[tuple[Cell, Mean]]] = {series: [] for series in lines}
    for task in dict.fromkeys(cell.task for run in runs for cell in run.cells):
        grades = _Grades(study, [run for run in runs if any(cell.task == task for cell in run.cells)], task)
        for run in grades.runs:
            found[run.arm.name] += grades.means(run, confidence=confidence)
        for series, weights in lines.items():
            slopes[series] += grades.slope(weights, confidence=confidence)
    found |= {name: list(tasks) for name, tasks in (benchmarks or {}).items()}
    arms = {name: _arm_means(tasks) for name, tasks in found.items() if tasks}
    return SeedMeans(
        arms=arms,
        slopes={
            series: mean
            for series, cells in slopes.items()
            if (mean := _weighted([cell for cell, _ in cells], [mean for _, mean in cells])) is not None
        },
        overall=None if study.baseline else _overall(arms),
    )


class _Grades:
    """The answers of every arm to one task."""

    def __init__(self, study: Study, runs: Sequence[ArmRun], task: str) -> None:
        self.runs, self._study, self._task = tuple(runs), study, task
        self._cells = {run.arm.name: [cell for cell in run.cells if cell.task == task] for run in runs}
        self._read: dict[tuple[str, str, Reads], TaskGrades | None] = {}

    def means(self, run: ArmRun, *, confidence: float) -> Iterator[TaskMeans]:
        """An arm's numbers for the task, once for every cluster in which it counts."""
        for cell in self._cells[run.arm.name]:
            own = self._of(run, cell, run.arm.reads)
            if own is None:
                continue
            base, other = self._of(run, cell, "base"), self._partner(run, cell)
            scores = template_scores(own.table, own.column)
            yield TaskMeans(
                cell=cell,
                score=own.mean(confidence=confidence),
                base=None if base is None else base.mean(confidence=confidence),
                difference=None if other is None else contrast([other, own], [-1.0, 1.0], confidence=confidence),
                chance=own.table.chance,
                metric=own.column.metric.name,
                rows=len(own.table.rows),
                rows_sha256=own.table.rows_sha256,
                templates=len(own.table.templates),
                template_std=spread_over_templates(scores).std if len(scores) > 1 else None,
            )

    def slope(self, weights: Mapping[str, float], *, confidence: float) -> Iterator[tuple[Cell, Mean]]:
        """The slope of the line through some arms on this task, for every cluster in which it counts."""
        runs = [run for run in self.runs if run.arm.name in weights]
        if len(runs) < len(weights):
            return
        for at, cell in enumerate(self._cells[runs[0].arm.name]):
            grades = [self._of(run, self._cells[run.arm.name][at], run.arm.reads) for run in runs]
            known = [one for one in grades if one is not None]
            if len(known) == len(runs):
                mean = contrast(known, [weights[run.arm.name] for run in runs], confidence=confidence)
                if mean is not None:
                    yield cell, mean

    def _partner(self, run: ArmRun, cell: Cell) -> TaskGrades | None:
        """The answers that an arm's answers are paired with."""
        if not self._study.baseline:
            return self._of(run, cell, "base") if run.arm.reads == "tuned" else None
        partner = self._study.partner(run.arm)
        other = next((one for one in self.runs if partner is not None and one.arm.name == partner.name), None)
        if other is None or other.arm.name == run.arm.name:
            return None
        cells = self._cells[other.arm.name]
        same = [one for one in cells if (one.fold, one.cluster) == (cell.fold, cell.cluster)]
        alike = [one for one in cells if one.cluster == cell.cluster]
        return self._of(other, (same or alike or cells)[0], other.arm.reads)

    def _of(self, run: ArmRun, cell: Cell, reads: Reads) -> TaskGrades | None:
        key = (run.arm.name, cell.fold, reads)
        if key not in self._read:
            self._read[key] = run.grades(cell, reads)
        return self._read[key]


def _lines(study: Study, runs: Sequence[ArmRun]) -> dict[str, dict[str, float]]:
    """Series → the weights of its arms in the slope, if it has three places and its arms measured the same tasks."""
    series: dict[str, list[ArmRun]] = {}
    for run in runs:
        if run.arm.x is not None:
            series.setdefault(run.arm.series, []).append(run)
    found = {}
    for name, members in series.items():
        whole = [arm for arm in study.arms if arm.series == name and arm.x is not None]
        places = {
            run.arm.name: math.log2(run.arm.x) if study.x_scale == "log" else run.arm.x
            for run in members
            if run.arm.x is not None
        }
        tasks = {tuple((cell.task, cell.cluster) for cell in run.cells) for run in members}
        if len(members) == len(whole) and len(set(places.values())) >= _FEWEST_PLACES and len(tasks) == 1:
            found[name] = slope_weights(places)
    return found


def _arm_means(tasks: Sequence[TaskMeans]) -> ArmMeans:
    cells = [one.cell for one in tasks]
    paired = [(one.cell, one.difference) for one in tasks if one.difference is not None]
    based = [(one.cell, one.base) for one in tasks if one.base is not None]
    score = _weighted(cells, [one.score for one in tasks])
    if score is None:
        raise ValueError("an arm without tasks")
    return ArmMeans(
        score=score,
        base=_weighted([cell for cell, _ in based], [mean for _, mean in based]),
        difference=_weighted([cell for cell, _ in paired], [mean for _, mean in paired]),
        compared=len({cell.task for cell, _ in paired}),
        chance=sum(weight * one.chance for weight, one in zip(weights_of(cells), tasks, strict=True)),
        tasks=tuple(tasks),
    )


def _weighted(cells: Sequence[Cell], means: Sequence[Mean]) -> Mean | None:
    """The mean over groups of the mean over their tasks; None without any."""
    if not cells:
        return None
    parts = zip(cells, weights_of(cells), means, strict=True)
    return combine(Share(task=cell.task, weight=weight, mean=mean) for cell, weight, mean in parts)


def _overall(arms: Mapping[str, ArmMeans]) -> Mean | None:
    """The mean over arms of their differences: tasks that several arms measured are not independent of each other."""
    paired = {
        name: [one for one in arm.tasks if one.difference is not None]
        for name, arm in arms.items()
        if arm.difference is not None
    }
    shares = [
        Share(task=one.cell.task, weight=weight / len(paired), mean=one.difference)
        for tasks in paired.values()
        for weight, one in zip(weights_of([one.cell for one in tasks]), tasks, strict=True)
        if one.difference is not None
    ]
    return combine(shares) if shares else None
