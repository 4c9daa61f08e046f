"""The models of some results, and each thing measured as a figure or table compares two of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flantune.evaluation.estimates import CleanScores, Difference, Estimate
from flantune.evaluation.exam_result import ExamResult
from flantune.evaluation.results import ClusterResult, Means, Measure, OverallResult, Results


@dataclass(frozen=True, slots=True)
class Sides:
    """Two models side by side; with a single model there is no second."""

    first: str
    second: str | None

    @property
    def both(self) -> tuple[str, ...]:
        """Their names."""
        return (self.first,) if self.second is None else (self.first, self.second)


def sides_of(results: Results) -> tuple[Sides, ...]:
    """Each later model beside the first."""
    first, *later = results.names
    return tuple(Sides(first, name) for name in later) or (Sides(first, None),)


def heading(name: str, results: Results) -> str:
    """A model as the head of a column; those of a run are words, all others are names."""
    return name.capitalize() if results.kind == "run" else name


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedPair:
    """Two models' scores on one thing that was measured, and their difference.

    Attributes:
        name: What was measured, with the fold where several folds measured it.
        chance: What guessing scores; None where that says nothing.
        clean: Both without what a model was trained on; None where nobody looked.
    """

    name: str
    shots: int
    first: Estimate | None
    second: Estimate | None
    difference: Difference | None
    chance: float | None = None
    clean: CleanScores | None = None

    def of(self, place: int) -> Estimate | None:
        """The score of one of the two, by its place."""
        return self.second if place else self.first


ALL_CLUSTERS = "All clusters"


def compared_exam(exam: ExamResult, label: str, sides: Sides) -> ComparedPair:
    """Two models on one task: means over templates."""
    return ComparedPair(
        name=label,
        shots=exam.shots,
        first=exam.scores[sides.first].mean,
        second=exam.scores[sides.second].mean if sides.second else None,
        difference=exam.differences[sides.second] if sides.second else None,
        chance=exam.chance,
        clean=exam.differences[sides.second].clean if sides.second else None,
    )


def compared_means(
    name: str, shots: int, means: Means, sides: Sides, *, measure: Measure = "raw"
) -> ComparedPair | None:
    """Two models' means in one measure; None where it is not defined."""
    found = means.of(measure)
    if found is None:
        return None
    chance = {"raw": means.chance, "normalized": 0.0}.get(measure)
    clean = means.clean if isinstance(means, ClusterResult | OverallResult) else {}
    return ComparedPair(
        name=name,
        shots=shots,
        first=found.scores[sides.first],
        second=found.scores[sides.second] if sides.second else None,
        difference=found.differences[sides.second] if sides.second else None,
        chance=chance,
        clean=clean.get(sides.second or "") if measure == "raw" else None,
    )


def compared_clusters(results: Results, sides: Sides, *, measure: Measure = "raw") -> list[ComparedPair]:
    """Two models on every cluster that a measure is defined for."""
    labels = labeled([(one.cluster, one.fold) for one in results.clusters])
    each = [
        compared_means(label, one.shots, one, sides, measure=measure)
        for label, one in zip(labels, results.clusters, strict=True)
    ]
    return [one for one in each if one is not None]


def compared_overall(results: Results, sides: Sides, *, measure: Measure = "raw") -> list[ComparedPair]:
    """Two models on all clusters together, an entry a number of exemplars."""
    each = [compared_means(ALL_CLUSTERS, one.shots, one, sides, measure=measure) for one in results.overall]
    return [one for one in each if one is not None]


def labeled(names: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Names, each with its fold where several folds have it.

    >>> list(labeled([("rte", "a"), ("cb", "a"), ("rte", "b")]))
    ['rte (a)', 'cb', 'rte (b)']
    """
    folds: dict[str, set[str]] = {}
    for name, fold in names:
        folds.setdefault(name, set()).add(fold)
    return (name if len(folds[name]) == 1 else f"{name} ({fold})" for name, fold in names)


@dataclass(frozen=True, slots=True)
class ShownTask:
    """A task as a page shows it: under its label."""

    label: str
    exam: ExamResult


def shown_tasks(results: Results) -> tuple[ShownTask, ...]:
    """All tasks with their labels; in an evaluation those that a model was trained on say so."""
    labels = labeled([(one.name, one.fold) for one in results.tasks])
    return tuple(
        ShownTask(f"{label} (seen)" if one.is_seen and results.kind == "evaluation" else label, one)
        for label, one in zip(labels, results.tasks, strict=True)
    )
