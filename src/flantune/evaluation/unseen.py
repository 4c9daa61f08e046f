"""Scores on tasks that no model was trained on: clusters, overall, and the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flantune.evaluation.clean_scores import CleanPart, clean_scores
from flantune.evaluation.estimates import CleanScores
from flantune.evaluation.means_over import WeightedExam, contrast_of, means_over
from flantune.evaluation.results import ClusterResult, Measure, OverallResult, Verdict
from flantune.evaluation.scored import ScoredExam
from flantune.evaluation.statistics.preference import collapse_notes, lopsided_notes, preference_notes, task_notes
from flantune.evaluation.verdict import change_of, make_verdict, moved_notes


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Unseen tasks of one cluster, asked with one number of exemplars.

    Attributes:
        name: The cluster.
        fold: The fold that held it out; empty in an evaluation.
        shots: Exemplars before each query.
        members: Its tasks, at least one.
    """

    name: str
    fold: str
    shots: int
    members: tuple[ScoredExam, ...]


def clusters_of(
    tasks: Sequence[ScoredExam], held_out: Mapping[str, Sequence[str]] | None = None, *, shots: Iterable[int]
) -> list[Cluster]:
    """The clusters with measured unseen tasks.

    Args:
        tasks: All tasks.
        held_out: Fold → the clusters it held out; None: every cluster of the tasks, in no fold.
        shots: Numbers of exemplars, in order.
    """
    every = {"": tuple(dict.fromkeys(cluster for task in tasks for cluster in task.exam.groups))}
    found = [
        Cluster(name=name, fold=fold, shots=number, members=tuple(_members(tasks, name, fold, number)))
        for number in shots
        for fold, names in (every if held_out is None else held_out).items()
        for name in names
    ]
    return [cluster for cluster in found if cluster.members]


def _members(tasks: Iterable[ScoredExam], cluster: str, fold: str, shots: int) -> Iterable[ScoredExam]:
    return (
        task
        for task in tasks
        if not task.result.is_seen
        and (task.result.fold, task.result.shots) == (fold, shots)
        and cluster in task.exam.groups
    )


def cluster_result(cluster: Cluster, *, confidence: float) -> ClusterResult:
    """The plain mean of a cluster's tasks."""
    weighted = _weighted([cluster], "raw")
    means = means_over(lambda _: weighted, confidence=confidence)
    clean = _clean(weighted, confidence=confidence)
    return ClusterResult(cluster=cluster.name, fold=cluster.fold, shots=cluster.shots, clean=clean, **means)


def overall_result(clusters: Sequence[Cluster], *, confidence: float) -> OverallResult:
    """The plain mean over clusters that were asked with one number of exemplars."""
    means = means_over(lambda measure: _weighted(clusters, measure), confidence=confidence)
    clean = _clean(_weighted(clusters, "raw"), confidence=confidence)
    return OverallResult(shots=clusters[0].shots, clean=clean, **means)


def _clean(weighted: Sequence[WeightedExam], *, confidence: float) -> dict[str, CleanScores]:
    """Later model → its scores and the first model's on clean examples, if every task was checked."""
    spans = [one.scored.span for one in weighted]
    found: dict[str, CleanScores] = {}
    for name in weighted[0].scored.compared.means.differences if weighted else ():
        parts = [
            CleanPart(
                key=one.scored.exam.key,
                weight=one.weight,
                clean_weight=one.weight,
                every=one.scored.compared.means,
                clean=clean,
            )
            for one in weighted
            if (clean := one.scored.clean.get(name)) is not None
        ]
        if len(parts) < len(weighted):
            continue
        span = (min(low for low, _ in spans), max(high for _, high in spans))
        first = next(iter(weighted[0].scored.compared.means.scores))
        scores = clean_scores(parts, first, name, span=span, confidence=confidence)
        found |= {} if scores is None else {name: scores}
    return found


def _weighted(clusters: Sequence[Cluster], measure: Measure) -> list[WeightedExam]:
    """Weights with which the sum over tasks is the mean over clusters of the mean over their tasks.

    For a measure of skill: over the tasks that have it, and the clusters with such a task.
    """
    groups = [[task for task in cluster.members if task.means(measure).scores] for cluster in clusters]
    measured = [group for group in groups if group]
    return [
        WeightedExam(scored=task, weights=dict.fromkeys(task.result.scores, 1.0 / (len(measured) * len(group))))
        for group in measured
        for task in group
    ]


def verdict_on(
    tasks: Sequence[ScoredExam],
    clusters: Sequence[tuple[Cluster, ClusterResult]],
    overall: OverallResult,
    model: str,
    *,
    confidence: float,
    is_run: bool,
) -> Verdict:
    """The verdict on a later model, compared with the first.

    Args:
        tasks: All tasks asked with the headline number of exemplars, seen or not.
        clusters: The unseen ones by cluster, with the result of each.
        overall: The mean over clusters.
        model: The later model.
        confidence: Level of the intervals.
        is_run: Whether it is the first model, tuned.
    """
    first = next(iter(overall.raw.scores))
    unseen = [task.result for task in tasks if not task.result.is_seen]
    groups = [one for one, _ in clusters]
    ranked = contrast_of(_weighted(groups, "discrimination"), "raw", confidence=confidence)
    moved: tuple[str, ...] = ()
    if ranked is not None and overall.discrimination is not None and model in overall.discrimination.differences:
        moved = preference_notes(
            change_of(ranked, first, model), change_of(overall.discrimination, first, model), confidence=confidence
        )
    return make_verdict(
        change_of(overall.raw, first, model),
        chance=overall.chance,
        tasks=len({task.exam.key for cluster in groups for task in cluster.members}),
        clusters=len({cluster.name for cluster in groups}),
        confidence=confidence,
        shots=overall.shots,
        notes=(
            *moved_notes([(one.cluster, one.raw.differences[model]) for _, one in clusters], confidence=confidence),
            *moved,
            *task_notes(unseen, model),
            *collapse_notes(unseen, (first, model)),
            *lopsided_notes(unseen, model),
        ),
        is_run=is_run,
    )
