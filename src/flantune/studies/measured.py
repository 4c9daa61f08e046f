"""Checks before a run that an arm will measure what its study compares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from flantune.errors import ConfigError, did_you_mean
from flantune.mixture.taxonomy import Taxonomy, load_taxonomy, plain_name

if TYPE_CHECKING:
    from flantune.evaluation.exams import Exam
    from flantune.mixture.holdout import FoldTasks
    from flantune.settings.config import RunConfig
    from flantune.studies.study import Measure

_MOST_NAMES = 8


def check_measured(measure: Measure, config: RunConfig, folds: Sequence[FoldTasks], exams: Sequence[Exam]) -> None:
    """Makes sure that a run's answers will allow the average that a study compares.

    Args:
        measure: The average.
        config: The run's settings.
        folds: Its tasks, by fold.
        exams: The parts of its benchmarks.

    Raises:
        ConfigError: They will not; everything missing is named.
    """
    faults = list(_faults(measure, config, folds, exams))
    if faults:
        raise ConfigError("; ".join(faults), hint="change the study's measure, or what this arm holds out and measures")


def _faults(measure: Measure, config: RunConfig, folds: Sequence[FoldTasks], exams: Sequence[Exam]) -> Iterator[str]:
    if measure.of == "benchmarks":
        known = dict.fromkeys(exam.score for exam in exams)
        yield from _lacking(measure.names, known, what="benchmark", known_by="[evaluation] suites")
        return
    if measure.shots is not None and measure.shots not in config.evaluation.shots:
        yield f"{measure.shots} exemplars are compared, and evaluation.shots is {list(config.evaluation.shots)}"
    if measure.of == "tasks":
        tasks = {plain_name(task.name) for fold in folds for task in (*fold.unseen, *fold.train)}
        yield from _lacking(map(plain_name, measure.names), tasks, what="task", known_by="[data]")
        return
    taxonomy = load_taxonomy(config.holdout.taxonomy)
    clusters = dict.fromkeys(name for fold in folds for name in _measured(fold, taxonomy))
    if not clusters:
        yield "no unseen task is measured: nothing is held out that leaves any"
    elif measure.of == "clusters" and not clusters.keys() & {taxonomy.cluster(name) for name in measure.names}:
        yield from _lacking(map(taxonomy.cluster, measure.names), clusters, what="cluster", known_by="[holdout]")


def _measured(fold: FoldTasks, taxonomy: Taxonomy) -> Iterator[str]:
    """The clusters in which a fold measures unseen tasks."""
    own = {taxonomy.cluster(name) for task in fold.unseen for name in task.clusters}
    return (found for name in fold.clusters if (found := taxonomy.cluster(name)) in own)


def _lacking(names: Iterable[str], known: Iterable[str], *, what: str, known_by: str) -> Iterator[str]:
    there = list(known)
    for name in names:
        if name not in there:
            shown = ", ".join(there[:_MOST_NAMES]) + (" …" if len(there) > _MOST_NAMES else "")
            near = did_you_mean(name, there) or f"{known_by} gives: {shown or 'none'}"
            yield f'the {what} "{name}" is compared and will not be measured; {near}'
