"""Pairs of models in some results, and their comparison on each measured task, cluster or benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from flantune.evaluation.estimates import CleanScores, Difference, Direction, Estimate
from flantune.evaluation.exam_result import ExamResult
from flantune.evaluation.results import ClusterResult, Means, Measure, OverallResult, Results
from flantune.evaluation.statistics.discovery_rates import clear_direction
from flantune.evaluation.statistics.means import false_discovery_rates


@dataclass(frozen=True, slots=True)
class Sides:
    """Two models side by side; no second one if there is a single model."""

    first: str
    second: str | None

    @property
    def both(self) -> tuple[str, ...]:
        """Their names."""
        return (self.first,) if self.second is None else (self.first, self.second)


def sides_of(results: Results) -> tuple[Sides, ...]:
    """Each later model paired with the first."""
    first, *later = results.names
    return tuple(Sides(first, name) for name in later) or (Sides(first, None),)


def heading(name: str, results: Results) -> str:
    """A model as a column's heading; a run's models are called by words, all others by name."""
    return name.capitalize() if results.kind == "run" else name


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedPair:
    """Two models' scores on one measured task, cluster or benchmark, and their difference.

    Attributes:
        name: What was measured, with the fold if several folds measured it.
        chance: The score of guessing; None if it is not meaningful.
        clean: Scores without rows that a model was trained on; None if that was not checked.
        q: The difference's false discovery rate among similar ones; None if there are no others.
        direction: The direction of the difference, among similar ones.
    """

    name: str
    shots: int
    first: Estimate | None
    second: Estimate | None
    difference: Difference | None
    chance: float | None = None
    clean: CleanScores | None = None
    q: float | None = None
    direction: Direction = "undecided"

    def of(self, place: int) -> Estimate | None:
        """The score of one of the two, by index."""
        return self.second if place else self.first


ALL_CLUSTERS = "All clusters"


def compared_task(results: Results, task: ShownTask, sides: Sides) -> ComparedPair:
    """Two models on one task: means over templates."""
    exam = task.exam
    difference = exam.differences[sides.second] if sides.second else None
    rate = difference.q if difference else None
    return ComparedPair(
        name=task.label,
        shots=exam.shots,
        first=exam.scores[sides.first].mean,
        second=exam.scores[sides.second].mean if sides.second else None,
        difference=difference,
        chance=exam.chance,
        clean=difference.clean if difference else None,
        q=rate,
        direction=clear_direction(difference, rate, confidence=results.confidence) if difference else "undecided",
    )


def compared_means(
    name: str, shots: int, means: Means, sides: Sides, *, measure: Measure = "raw"
) -> ComparedPair | None:
    """Two models' means in one measure; None if it is not defined."""
    found = means.of(measure)
    if found is None:
        return None
    chance = {"raw": means.chance, "normalized": 0.0}.get(measure)
    clean = means.clean if isinstance(means, ClusterResult | OverallResult) else {}
    difference = found.differences[sides.second] if sides.second else None
    return ComparedPair(
        name=name,
        shots=shots,
        first=found.scores[sides.first],
        second=found.scores[sides.second] if sides.second else None,
        difference=difference,
        chance=chance,
        clean=clean.get(sides.second or "") if measure == "raw" else None,
        direction=difference.direction if difference else "undecided",
    )


def compared_clusters(results: Results, sides: Sides, *, measure: Measure = "raw") -> list[ComparedPair]:
    """Two models on every cluster for which a measure is defined, the largest change of the raw score first."""
    labels = list(labeled([(one.cluster, one.fold) for one in results.clusters]))
    changes = [one.raw.differences for one in results.clusters]
    order = _order(results, labels, [one.shots for one in results.clusters], changes)
    each = [
        compared_means(labels[at], results.clusters[at].shots, results.clusters[at], sides, measure=measure)
        for at in order
    ]
    return _rated([one for one in each if one is not None], confidence=results.confidence)


def _rated(pairs: Sequence[ComparedPair], *, confidence: float) -> list[ComparedPair]:
    """The pairs, each with its false discovery rate among those with the same number of exemplars."""
    rates: dict[tuple[str, int], float] = {}
    for shots in {one.shots for one in pairs}:
        alike = [(one, one.difference) for one in pairs if one.shots == shots]
        tested = [(one, difference.p) for one, difference in alike if difference]
        found = false_discovery_rates([p for _, p in tested]) if len(tested) > 1 else ()
        rates |= {(one.name, shots): rate for (one, _), rate in zip(tested, found, strict=False)}
    return [
        replace(one, q=rate, direction=clear_direction(one.difference, rate, confidence=confidence))
        if one.difference
        else one
        for one in pairs
        for rate in [rates.get((one.name, one.shots))]
    ]


def compared_overall(results: Results, sides: Sides, *, measure: Measure = "raw") -> list[ComparedPair]:
    """Two models on all clusters together, one entry per number of exemplars."""
    each = [compared_means(ALL_CLUSTERS, one.shots, one, sides, measure=measure) for one in results.overall]
    return [one for one in each if one is not None]


def labeled(names: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Names, each with its fold if several folds have it.

    >>> list(labeled([("rte", "a"), ("cb", "a"), ("rte", "b")]))
    ['rte (a)', 'cb', 'rte (b)']
    """
    folds: dict[str, set[str]] = {}
    for name, fold in names:
        folds.setdefault(name, set()).add(fold)
    return (name if len(folds[name]) == 1 else f"{name} ({fold})" for name, fold in names)


@dataclass(frozen=True, slots=True)
class ShownTask:
    """A task with its label on the page."""

    label: str
    exam: ExamResult


def shown_tasks(results: Results) -> tuple[ShownTask, ...]:
    """All tasks with their labels, the largest change first; in an evaluation, tasks trained on are marked."""
    labels = list(labeled([(one.name, one.fold) for one in results.tasks]))
    changes = [one.differences for one in results.tasks]
    shown = [
        ShownTask(f"{label} (seen)" if one.is_seen and results.kind == "evaluation" else label, one)
        for label, one in zip(labels, results.tasks, strict=True)
    ]
    return tuple(shown[at] for at in _order(results, labels, [one.shots for one in results.tasks], changes))


def _order(
    results: Results, names: Sequence[str], shots: Sequence[int], changes: Sequence[Mapping[str, Difference]]
) -> list[int]:
    """The common order of all tables and figures: ranks, by exemplars, then by the first later model's change.

    The change with the headline's number of exemplars counts, so that the order is the same for every number.
    """
    later = results.names[1] if len(results.names) > 1 else ""
    sizes: dict[str, float] = {}
    for name, change in zip(names, changes, strict=True):
        sizes.setdefault(name, change[later].value if later in change else 0.0)
    numbers = list(dict.fromkeys(shots))
    return sorted(range(len(names)), key=lambda at: (numbers.index(shots[at]), -sizes[names[at]]))
