"""From samples on disk to ``results.json``: tasks, clusters, the whole, and the verdict. No model, no torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.errors import EvaluationError
from flantune.evaluation.metrics.graders import Columns
from flantune.evaluation.metrics.readable import metric_findings
from flantune.evaluation.results import (
    ClusterResult,
    OverallResult,
    Results,
    TaskResult,
    Verdict,
    to_json,
)
from flantune.evaluation.samples import read_samples, samples_path
from flantune.evaluation.statistics.grades import Table, grade
from flantune.evaluation.statistics.means import false_discovery_rates
from flantune.evaluation.statistics.pairs import (
    Pair,
    bootstrap_interval,
    check_same_cells,
    clean_scores,
    compare_means,
    compare_skill,
    mcnemar_of,
    score_models,
    task_difference,
)
from flantune.evaluation.statistics.preference import collapse_notes, lopsided_notes, preference_notes, task_notes
from flantune.evaluation.statistics.skill_scores import SKILL_MEASURES, SkillMeasure, with_skill_rates
from flantune.evaluation.statistics.task_means import Entry, mean_chance, mean_scores, mean_skill
from flantune.evaluation.task_exams import recorded_exam
from flantune.evaluation.verdict import make_verdict, no_verdict
from flantune.system.keyed_random import stream_key
from flantune.types import Kind, SplitRole

if TYPE_CHECKING:
    from flantune.settings.config import EvaluationSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldInput:
    """One fold: what was held out, and which tasks that left unseen.

    Attributes:
        name: Folder of the fold under ``folds/``.
        clusters: Clusters held out.
        unseen: Names of the tasks measured as unseen.
        seen: Names of tasks measured although they were trained on; reported apart.
        flagged: Task → test rows that overlap with the fold's training rows; None: nobody looked.
    """

    name: str
    clusters: tuple[str, ...]
    unseen: tuple[str, ...]
    seen: tuple[str, ...] = ()
    flagged: Mapping[str, Collection[int]] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInfo:
    """What scoring a task's samples needs to know of it."""

    name: str
    clusters: tuple[str, ...]
    kind: Kind
    metrics: tuple[str, ...]


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
    entries = _with_false_discovery_rates(
        [
            entry
            for fold in folds
            for task, is_seen in _measured(fold, known)
            for entry in _entries(folder, fold, task, settings, is_seen=is_seen, seed=seed)
        ]
    )
    clusters = list(_clusters(entries, folds, settings))
    results = Results(
        schema=3,
        name=name,
        confidence=settings.confidence,
        normalization=settings.normalization,
        seed=seed,
        protocol=settings.scoring.to_json(),
        answer_parsing=settings.answer_parsing,
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
) -> Iterator[Entry]:
    exam = recorded_exam(task.name, clusters=task.clusters, kind=task.kind, metrics=task.metrics, settings=settings)
    columns = exam.grader.columns
    base_path = samples_path(folder / "base", task.name)
    tuned_path = samples_path(folder / "folds" / fold.name / "tuned", task.name)
    base, tuned = (grade(read_samples(path), exam.grader) for path in (base_path, tuned_path))
    if not any(_pair(base, tuned, shots) for shots in settings.shots):
        hint = "repeat the run with the evaluation settings that are wanted"
        raise EvaluationError(f"no test rows with {list(settings.shots)} shots", where=str(tuned_path), hint=hint)
    for shots in dict.fromkeys(settings.shots):
        pair = _pair(base, tuned, shots)
        if pair is None:
            continue
        check_same_cells(pair, where=f"{tuned_path}, {shots} shots")
        yield _entry(pair, columns, fold, task, settings, shots=shots, is_seen=is_seen, seed=seed)


def _entry(
    pair: Pair, columns: Columns, fold: FoldInput, task: TaskInfo, settings: EvaluationSettings, *,
    shots: int, is_seen: bool, seed: int,
) -> Entry:  # fmt: skip
    key, confidence, headline = stream_key(seed, "bootstrap", task.name), settings.confidence, columns.headline
    means = compare_means(pair, headline, seed=key, confidence=confidence)
    skill = compare_skill(pair)
    flagged = None if fold.flagged is None or is_seen else fold.flagged.get(task.name, ())
    result = TaskResult(
        task=task.name,
        clusters=task.clusters,
        fold=fold.name,
        is_seen=is_seen,
        kind=task.kind,
        metric=headline.metric.name,
        shots=shots,
        chance=pair.base.chance,
        examples=len(pair.base.rows),
        groups=int(pair.base.groups.max()) + 1,
        rows_sha256=pair.base.rows_sha256,
        models=score_models(pair, columns, means, skill, confidence=confidence),
        difference=task_difference(means, confidence=confidence),
        bootstrap=bootstrap_interval(means.replicates, confidence=confidence),
        q=1.0,  # known once all tasks are
        skill=skill.difference(confidence=confidence),
        mcnemar_p=mcnemar_of(pair, headline),
        clean=None if flagged is None else clean_scores(pair, headline, flagged, seed=key, confidence=confidence),
        signatures=_signatures(pair.base, columns),
        notes=tuple(finding.message for finding in metric_findings(task, pair.base.looked_at)),
        ties=pair.base.ties + pair.tuned.ties,
    )
    found = {measure: skill.means(measure, confidence=confidence) for measure in SKILL_MEASURES}
    return Entry(means=means, result=result, skill={name: one for name, one in found.items() if one is not None})


def _signatures(table: Table, columns: Columns) -> dict[str, str]:
    """How metrics were computed, for those whose library says so."""
    metrics = [column.metric for column in (columns.headline, *columns.others)]
    return {metric.name: metric.signature(table.references) for metric in metrics if metric.signature is not None}


def _with_false_discovery_rates(entries: Sequence[Entry]) -> list[Entry]:
    """The entries with q-values: seen and unseen tasks apart, each number of exemplars apart.

    Paper: Benjamini and Hochberg 1995.
    """
    families: dict[tuple[bool, int], list[int]] = {}
    for at, entry in enumerate(entries):
        families.setdefault((entry.result.is_seen, entry.result.shots), []).append(at)
    rated = list(entries)
    for members in families.values():
        rates = false_discovery_rates([entries[at].result.difference.p for at in members])
        skills = with_skill_rates([entries[at].result.skill for at in members])
        for at, rate, skill in zip(members, rates, skills, strict=True):
            result = entries[at].result.model_copy(update={"q": rate, "skill": skill})
            rated[at] = replace(entries[at], result=result)
    return rated


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
    entries: Sequence[Entry], folds: Sequence[FoldInput], settings: EvaluationSettings
) -> Iterator[ClusterResult]:
    for shots in dict.fromkeys(settings.shots):
        for fold in folds:
            for cluster in fold.clusters:
                members = _members(entries, cluster, fold.name, shots)
                if members:
                    yield _cluster(members, cluster, fold.name, shots, settings.confidence)


def _members(entries: Sequence[Entry], cluster: str, fold: str, shots: int) -> list[Entry]:
    return [
        entry
        for entry in entries
        if not entry.result.is_seen
        and (entry.result.fold, entry.result.shots) == (fold, shots)
        and cluster in entry.result.clusters
    ]


def _cluster(members: Sequence[Entry], cluster: str, fold: str, shots: int, confidence: float) -> ClusterResult:
    weighted = [(1.0 / len(members), entry) for entry in members]
    raw = mean_scores(weighted, confidence, is_normalized=False)
    normalized = mean_scores(weighted, confidence, is_normalized=True)
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
        chance=mean_chance(weighted),
        tasks=tuple(entry.result.task for entry in members),
        discrimination=mean_skill(weighted, "discrimination", confidence),
        calibrated_accuracy=mean_skill(weighted, "calibrated_accuracy", confidence),
    )


def _overall(
    entries: Sequence[Entry], clusters: Sequence[ClusterResult], settings: EvaluationSettings
) -> Iterator[OverallResult]:
    for shots in dict.fromkeys(settings.shots):
        weighted = _macro_weights(entries, clusters, shots)
        if not weighted:
            continue
        raw = mean_scores(weighted, settings.confidence, is_normalized=False)
        normalized = mean_scores(weighted, settings.confidence, is_normalized=True)
        yield OverallResult(shots=shots, measure="raw", base=raw.base, tuned=raw.tuned, difference=raw.difference)
        yield OverallResult(
            shots=shots,
            measure="normalized",
            base=normalized.base,
            tuned=normalized.tuned,
            difference=normalized.difference,
        )
        for measure in SKILL_MEASURES:
            found = mean_skill(_macro_weights(entries, clusters, shots, measure), measure, settings.confidence)
            if found is not None:
                yield OverallResult(
                    shots=shots, measure=measure, base=found.base, tuned=found.tuned, difference=found.difference
                )


def _verdict(entries: Sequence[Entry], clusters: Sequence[ClusterResult], settings: EvaluationSettings) -> Verdict:
    headline = settings.shots[0] if settings.shots else 0
    weighted = _macro_weights(entries, clusters, headline)
    if not weighted:
        return no_verdict(shots=headline)
    raw = mean_scores(weighted, settings.confidence, is_normalized=False)
    return make_verdict(
        base=raw.base,
        tuned=raw.tuned,
        difference=raw.difference,
        chance=mean_chance(weighted),
        tasks=len({entry.result.task for _, entry in weighted}),
        clusters=len({cluster.cluster for cluster in clusters if cluster.shots == headline}),
        confidence=settings.confidence,
        shots=headline,
        notes=_notes(entries, clusters, headline, settings.confidence),
    )


def _notes(
    entries: Sequence[Entry], clusters: Sequence[ClusterResult], shots: int, confidence: float
) -> tuple[str, ...]:
    """What a preference for an answer did to the raw score, told from the same tasks with the same weights."""
    weighted = _macro_weights(entries, clusters, shots, "discrimination")
    discrimination = mean_skill(weighted, "discrimination", confidence)
    changed: tuple[str, ...] = ()
    if discrimination is not None:
        raw = mean_scores(weighted, confidence, is_normalized=False)
        changed = preference_notes(raw=raw, discrimination=discrimination, confidence=confidence)
    measured = [one.result for one in entries if not one.result.is_seen and one.result.shots == shots]
    return (*changed, *task_notes(measured), *collapse_notes(measured), *lopsided_notes(measured))


def _macro_weights(
    entries: Sequence[Entry], clusters: Sequence[ClusterResult], shots: int, measure: SkillMeasure | None = None
) -> list[tuple[float, Entry]]:
    """Weights that make the sum over tasks the mean over clusters of the mean over each one's tasks.

    With a measure of skill: of the tasks that have it, and the clusters that have such a task.
    """
    groups = [
        [entry for entry in found if measure is None or measure in entry.skill]
        for cluster in clusters
        if cluster.shots == shots
        for found in [_members(entries, cluster.cluster, cluster.fold, shots)]
    ]
    measured = [group for group in groups if group]
    return [(1.0 / (len(measured) * len(group)), entry) for group in measured for entry in group]
