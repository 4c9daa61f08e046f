"""From samples on disk to ``results.json``: tasks, clusters, the whole, and the verdict. No model, no torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.errors import EvaluationError
from flantune.evaluation.comparison import (
    Means,
    Pair,
    check_same_cells,
    compare_means,
    estimate,
    mcnemar_of,
    score_models,
)
from flantune.evaluation.results import (
    ClusterResult,
    Estimate,
    OverallResult,
    Results,
    TaskResult,
    Verdict,
    to_json,
)
from flantune.evaluation.samples import read_samples, samples_path
from flantune.evaluation.statistics import DIFFERENCE, SCORE, Mean, above_chance, combine
from flantune.evaluation.statistics import Part as Share
from flantune.evaluation.tables import Table, columns_of, read_tables
from flantune.evaluation.verdict import make_verdict, no_verdict
from flantune.prompts.hashing import stream_key
from flantune.types import Kind, SplitRole

if TYPE_CHECKING:
    from flantune.config import EvaluationSettings

_NORMALIZED = (-math.inf, 1.0)
_ANY = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldInput:
    """One fold: what was held out, and which tasks that left unseen.

    Attributes:
        name: Folder of the fold under ``folds/``.
        clusters: Clusters held out.
        unseen: Names of the tasks measured as unseen.
        seen: Names of tasks measured although they were trained on; reported apart.
    """

    name: str
    clusters: tuple[str, ...]
    unseen: tuple[str, ...]
    seen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInfo:
    """What scoring a task's samples needs to know of it."""

    name: str
    clusters: tuple[str, ...]
    kind: Kind
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One task of one fold with one number of exemplars: what is reported and what goes into means."""

    result: TaskResult
    means: Means


def summarize(
    folder: Path,
    *,
    folds: Sequence[FoldInput],
    tasks: Sequence[TaskInfo],
    settings: EvaluationSettings,
    name: str,
    seed: int,
) -> dict[str, Any]:
    """Everything the samples of a run say, in the shape of ``results.json``.

    Tasks are averaged into their held-out cluster, clusters into the whole; the first of ``settings.shots`` is the
    headline. A pure function of the samples and the arguments.

    Args:
        folder: The run folder, with ``base/samples`` and ``folds/<fold>/tuned/samples``.
        folds: The folds of the run.
        tasks: The run's tasks.
        settings: Shots, normalization and confidence.
        name: Title of the run.
        seed: The run's seed; names the bootstrap draws.

    Raises:
        EvaluationError: Samples are missing, damaged, or the two models were asked different prompts.
    """
    known = {task.name: task for task in tasks}
    entries = [
        entry
        for fold in folds
        for task, is_seen in _measured(fold, known)
        for entry in _entries(folder, fold, task, settings, is_seen=is_seen, seed=seed)
    ]
    clusters = list(_clusters(entries, folds, settings))
    results = Results(
        schema=1,
        name=name,
        confidence=settings.confidence,
        normalization=settings.normalization,
        seed=seed,
        verdict=_verdict(entries, clusters, settings),
        overall=tuple(_overall(entries, clusters, settings)),
        clusters=tuple(clusters),
        tasks=tuple(entry.result for entry in entries),
    )
    return to_json(results)


def _measured(fold: FoldInput, known: Mapping[str, TaskInfo]) -> Iterator[tuple[TaskInfo, bool]]:
    for names, is_seen in ((fold.unseen, False), (fold.seen, True)):
        for name in names:
            if name not in known:
                raise EvaluationError(f'no task "{name}" in this run', where=f"fold {fold.name}")
            yield known[name], is_seen


def _entries(
    folder: Path, fold: FoldInput, task: TaskInfo, settings: EvaluationSettings, *, is_seen: bool, seed: int
) -> Iterator[_Entry]:
    columns = columns_of(task.kind, task.metrics, normalization=settings.normalization)
    base_path = samples_path(folder / "base", task.name)
    tuned_path = samples_path(folder / "folds" / fold.name / "tuned", task.name)
    base, tuned = (read_tables(read_samples(path), columns) for path in (base_path, tuned_path))
    if not any(_pair(base, tuned, shots) for shots in settings.shots):
        hint = "repeat the run with the evaluation settings that are wanted"
        raise EvaluationError(f"no test rows with {list(settings.shots)} shots", where=str(tuned_path), hint=hint)
    for shots in dict.fromkeys(settings.shots):
        pair = _pair(base, tuned, shots)
        if pair is None:
            continue
        check_same_cells(pair, where=f"{tuned_path}, {shots} shots")
        key = stream_key(seed, "bootstrap", task.name)
        means = compare_means(pair, columns.headline, seed=key, confidence=settings.confidence)
        yield _Entry(
            means=means,
            result=TaskResult(
                task=task.name,
                clusters=task.clusters,
                fold=fold.name,
                is_seen=is_seen,
                kind=task.kind,
                metric=columns.headline.metric.name,
                shots=shots,
                chance=pair.base.chance,
                examples=len(pair.base.rows),
                models=score_models(pair, columns, means, confidence=settings.confidence),
                difference=estimate(means.difference, confidence=settings.confidence, span=DIFFERENCE),
                mcnemar_p=mcnemar_of(pair, columns.headline),
                ties=pair.base.ties + pair.tuned.ties,
            ),
        )


def _pair(
    base: Mapping[tuple[int, SplitRole], Table], tuned: Mapping[tuple[int, SplitRole], Table], shots: int
) -> Pair | None:
    """Both models' tables; None when the task was not measured with so many exemplars."""
    if (shots, "test") not in base or (shots, "test") not in tuned:
        return None
    return Pair(
        base=base[shots, "test"],
        tuned=tuned[shots, "test"],
        base_dev=base.get((shots, "dev")),
        tuned_dev=tuned.get((shots, "dev")),
    )


def _clusters(
    entries: Sequence[_Entry], folds: Sequence[FoldInput], settings: EvaluationSettings
) -> Iterator[ClusterResult]:
    for shots in dict.fromkeys(settings.shots):
        for fold in folds:
            for cluster in fold.clusters:
                members = _members(entries, cluster, fold.name, shots)
                if members:
                    yield _cluster(members, cluster, fold.name, shots, settings.confidence)


def _members(entries: Sequence[_Entry], cluster: str, fold: str, shots: int) -> list[_Entry]:
    return [
        entry
        for entry in entries
        if not entry.result.is_seen
        and (entry.result.fold, entry.result.shots) == (fold, shots)
        and cluster in entry.result.clusters
    ]


def _cluster(members: Sequence[_Entry], cluster: str, fold: str, shots: int, confidence: float) -> ClusterResult:
    weighted = [(1.0 / len(members), entry) for entry in members]
    raw = _scores(weighted, confidence, is_normalized=False)
    normalized = _scores(weighted, confidence, is_normalized=True)
    return ClusterResult(
        cluster=cluster,
        fold=fold,
        shots=shots,
        base=raw.base,
        tuned=raw.tuned,
        difference=raw.difference,
        base_normalized=normalized.base,
        tuned_normalized=normalized.tuned,
        difference_normalized=normalized.difference,
        chance=_chance(weighted),
        tasks=tuple(entry.result.task for entry in members),
    )


def _overall(
    entries: Sequence[_Entry], clusters: Sequence[ClusterResult], settings: EvaluationSettings
) -> Iterator[OverallResult]:
    for shots in dict.fromkeys(settings.shots):
        weighted = _macro_weights(entries, clusters, shots)
        if not weighted:
            continue
        raw = _scores(weighted, settings.confidence, is_normalized=False)
        normalized = _scores(weighted, settings.confidence, is_normalized=True)
        yield OverallResult(shots=shots, measure="raw", base=raw.base, tuned=raw.tuned, difference=raw.difference)
        yield OverallResult(
            shots=shots,
            measure="normalized",
            base=normalized.base,
            tuned=normalized.tuned,
            difference=normalized.difference,
        )


def _verdict(entries: Sequence[_Entry], clusters: Sequence[ClusterResult], settings: EvaluationSettings) -> Verdict:
    headline = settings.shots[0] if settings.shots else 0
    weighted = _macro_weights(entries, clusters, headline)
    if not weighted:
        return no_verdict()
    raw = _scores(weighted, settings.confidence, is_normalized=False)
    return make_verdict(
        base=raw.base,
        tuned=raw.tuned,
        difference=raw.difference,
        chance=_chance(weighted),
        tasks=len({entry.result.task for _, entry in weighted}),
        clusters=len({cluster.cluster for cluster in clusters if cluster.shots == headline}),
        confidence=settings.confidence,
        shots=headline,
    )


def _macro_weights(
    entries: Sequence[_Entry], clusters: Sequence[ClusterResult], shots: int
) -> list[tuple[float, _Entry]]:
    """Weights that make the sum over tasks the mean over clusters of the mean over each one's tasks."""
    measured = [cluster for cluster in clusters if cluster.shots == shots]
    return [
        (1.0 / (len(measured) * len(cluster.tasks)), entry)
        for cluster in measured
        for entry in _members(entries, cluster.cluster, cluster.fold, shots)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scores:
    base: Estimate
    tuned: Estimate
    difference: Estimate


def _scores(weighted: Sequence[tuple[float, _Entry]], confidence: float, *, is_normalized: bool) -> _Scores:
    def combined(pick: Callable[[Means], Mean], *, span: tuple[float, float], is_difference: bool = False) -> Estimate:
        parts = []
        for weight, entry in weighted:
            mean, chance = pick(entry.means), entry.result.chance
            if is_normalized:
                mean = above_chance(mean, chance, is_difference=is_difference)
            parts.append(Share(task=entry.result.task, weight=weight, mean=mean))
        return estimate(combine(parts), confidence=confidence, span=span)

    span = _NORMALIZED if is_normalized else SCORE
    return _Scores(
        base=combined(lambda means: means.base, span=span),
        tuned=combined(lambda means: means.tuned, span=span),
        difference=combined(
            lambda means: means.difference, span=_ANY if is_normalized else DIFFERENCE, is_difference=True
        ),
    )


def _chance(weighted: Sequence[tuple[float, _Entry]]) -> float:
    return min(1.0, math.fsum(weight * entry.result.chance for weight, entry in weighted))
