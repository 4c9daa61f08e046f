"""Tasks in flantune's own form, scored for any number of models side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.contamination.training_record import Seen
from flantune.errors import EvaluationError
from flantune.evaluation.metrics.graders import Columns
from flantune.evaluation.metrics.readable import metric_findings
from flantune.evaluation.samples import read_samples, samples_path
from flantune.evaluation.statistics.grades import Tables, grade
from flantune.evaluation.statistics.pairs import (
    Pair,
    bootstrap_interval,
    check_same_cells,
    compare_means,
    compare_skill,
    mcnemar_of,
    score_models,
    task_difference,
)
from flantune.evaluation.task_exams import recorded_exam
from flantune.suites.results import Comparison, TaskScore
from flantune.system.keyed_random import stream_key

if TYPE_CHECKING:
    from flantune.settings.config import EvaluationSettings
    from flantune.tasks.store import PreparedTask


def score_tasks(
    models: Sequence[tuple[str, Path]],
    prepared: Sequence[PreparedTask],
    settings: EvaluationSettings,
    *,
    seen: Mapping[tuple[str, str], Seen],
    seed: int,
) -> tuple[list[TaskScore], list[Comparison]]:
    """Each model's scores on each task, and every later model's difference from the first.

    Args:
        models: Name and folder of samples.
        prepared: The tasks.
        settings: As they were measured with.
        seen: Model and task → why the task was not new to it.
        seed: Names the bootstrap draws.

    Raises:
        EvaluationError: Samples are missing, or models were asked different prompts.
    """
    scores: list[TaskScore] = []
    differences: list[Comparison] = []
    if not models:
        return scores, differences
    for one in prepared:
        task = one.task
        exam = recorded_exam(task.name, clusters=task.clusters, kind=task.kind, metrics=task.metrics, settings=settings)
        columns = exam.grader.columns
        tables = [(name, grade(read_samples(samples_path(folder, task.name)), exam.grader)) for name, folder in models]
        for shots in dict.fromkeys(shots for shots, split in tables[0][1] if split == "test"):
            for at, (name, found) in enumerate(tables):
                pair = _pair(tables[0][1], found, shots, where=one.task.name)
                why = seen.get((name, one.task.name), Seen())
                score, difference = _scored(
                    one, name, tables[0][0], pair, columns, settings, shots=shots, seen=why, seed=seed
                )
                scores.append(score)
                differences += [difference] if at else []
    return scores, differences


def _pair(first: Tables, other: Tables, shots: int, *, where: str) -> Pair:
    if (shots, "test") not in other:
        raise EvaluationError("the models were asked with different numbers of exemplars", where=where)
    pair = Pair(
        base=first[shots, "test"],
        tuned=other[shots, "test"],
        base_dev=first.get((shots, "dev")),
        tuned_dev=other.get((shots, "dev")),
    )
    check_same_cells(pair, where=where)
    return pair


def _scored(
    prepared: PreparedTask,
    name: str,
    first: str,
    pair: Pair,
    columns: Columns,
    settings: EvaluationSettings,
    *,
    shots: int,
    seen: Seen,
    seed: int,
) -> tuple[TaskScore, Comparison]:
    task, level = prepared.task, settings.confidence
    means = compare_means(pair, columns.headline, seed=stream_key(seed, "bootstrap", task.name), confidence=level)
    skill = compare_skill(pair)
    score = TaskScore(
        task=task.name,
        model=name,
        clusters=task.clusters,
        metric=columns.headline.metric.name,
        protocol=settings.scoring.fingerprint,
        shots=shots,
        questions=len(pair.tuned.rows),
        chance=pair.tuned.chance,
        seen=seen.reasons,
        notes=tuple(finding.message for finding in metric_findings(task, pair.tuned.looked_at)),
        scores=score_models(pair, columns, means, skill, confidence=level).tuned,
    )
    difference = Comparison(
        score=task.name,
        first=first,
        second=name,
        shots=shots,
        difference=task_difference(means, confidence=level),
        bootstrap=bootstrap_interval(means.replicates, confidence=level),
        mcnemar_p=mcnemar_of(pair, columns.headline),
        q=None,  # known once everything is compared
        questions=len(pair.tuned.rows),
        questions_sha256=pair.tuned.rows_sha256,
        skill=skill.difference(confidence=level),
    )
    return score, difference
