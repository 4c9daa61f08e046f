"""The measurements of an arm with one seed: the weights of tasks, and their answers, from a run's own files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flantune.errors import EvaluationError
from flantune.evaluation.run_samples import BASE, FoldInput, TaskInfo
from flantune.evaluation.samples import read_samples, samples_path
from flantune.evaluation.statistics.grades import grade
from flantune.evaluation.task_exams import recorded_exam
from flantune.mixture.taxonomy import Taxonomy, load_taxonomy, plain_name
from flantune.runs.files import read_config
from flantune.runs.fold_inputs import fold_inputs, task_infos, with_one_name
from flantune.runs.folder import RunFolder
from flantune.settings.config import RunConfig
from flantune.studies.contrasts import TaskGrades, best_on_dev
from flantune.studies.study import Arm, Measure, Reads
from flantune.system.keyed_random import stream_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One task of one fold, and the cluster it counts in.

    Attributes:
        fold: The fold whose model is measured.
        task: The task.
        cluster: The cluster that it counts in.
        group: The number of its group: a score is the mean over groups of the mean over each one's tasks.
    """

    fold: str
    task: str
    cluster: str
    group: int


def weights_of(cells: Sequence[Cell]) -> list[float]:
    """The weight of each task, so that the weighted sum is the mean over groups of the mean over their tasks."""
    sizes = Counter(cell.group for cell in cells)
    return [1.0 / (len(sizes) * sizes[cell.group]) for cell in cells]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRun:
    """A finished run, as a measurement of its arm.

    Attributes:
        arm: The arm.
        seed: The run's seed.
        folder: Its folder.
        config: Its settings.
        tasks: Its tasks by name.
        cells: The cells that the score is the mean of.
        shots: Exemplars before each query.
    """

    arm: Arm
    seed: int
    folder: RunFolder
    config: RunConfig
    tasks: Mapping[str, TaskInfo]
    cells: tuple[Cell, ...]
    shots: int

    def grades(self, cell: Cell, reads: Reads) -> TaskGrades | None:
        """A model's answers to one task; None if it was not asked with this number of exemplars.

        Raises:
            EvaluationError: The answers are missing or damaged.
        """
        path = self._path(cell, reads)
        if not path.is_file():
            return None
        settings, task = self.config.evaluation, self.tasks[cell.task]
        exam = recorded_exam(task.name, clusters=task.clusters, kind=task.kind, metrics=task.metrics, settings=settings)
        tables = grade(read_samples(path), exam.grader)
        table = tables.get((self.shots, "test"))
        if table is None:
            return None
        if self.arm.templates == "best-dev":
            table = best_on_dev(table, tables.get((self.shots, "dev")))
        return TaskGrades(table=table, seed=stream_key(self.seed, "bootstrap", cell.task))

    def _path(self, cell: Cell, reads: Reads) -> Path:
        home = self.folder.base if reads == BASE else self.folder.fold_named(cell.fold).tuned
        return samples_path(home, cell.task)


def read_arm_run(arm: Arm, seed: int, folder: RunFolder, measure: Measure) -> ArmRun:
    """A finished run, as a measurement of its arm in a study.

    Raises:
        EvaluationError: It did not measure what the study compares.
        FlantuneError: A file of its folder is missing or damaged.
    """
    config = read_config(folder)
    taxonomy = load_taxonomy(config.holdout.taxonomy)
    folds, tasks = with_one_name(fold_inputs(folder, config), task_infos(folder.data), taxonomy=taxonomy)
    known = {task.name: task for task in tasks}
    where = f"arm {arm.name}, seed {seed}"
    shots = config.evaluation.shots[0] if measure.shots is None else measure.shots
    if shots not in config.evaluation.shots:
        hint = f"it was measured with {list(config.evaluation.shots)}: set evaluation.shots in the arm"
        raise EvaluationError(f"was not measured with {shots} exemplars", where=where, hint=hint)
    cells = tuple(_cells(folds, known, measure, taxonomy))
    if not cells:
        hint = "change the study's measure, or hold out and measure what it names"
        raise EvaluationError(f"measured nothing of what is compared: {measure}", where=where, hint=hint)
    return ArmRun(arm=arm, seed=seed, folder=folder, config=config, tasks=known, cells=cells, shots=shots)


def _cells(
    folds: Sequence[FoldInput], tasks: Mapping[str, TaskInfo], measure: Measure, taxonomy: Taxonomy
) -> Iterator[Cell]:
    if measure.of == "tasks":
        found = {name: fold.name for name in measure.names if (fold := _fold_of(name, folds)) is not None}
        groups = [(fold, tasks[name].clusters[0], [name]) for name, fold in found.items()]
    else:
        groups = list(_cluster_groups(folds, tasks, measure, taxonomy))
    for number, (fold_name, cluster, members) in enumerate(groups):
        for name in members:
            yield Cell(fold=fold_name, task=name, cluster=cluster, group=number)


def _cluster_groups(
    folds: Sequence[FoldInput], tasks: Mapping[str, TaskInfo], measure: Measure, taxonomy: Taxonomy
) -> Iterator[tuple[str, str, list[str]]]:
    wanted = {taxonomy.cluster(name) for name in measure.names}
    for fold in folds:
        for cluster in fold.clusters:
            members = [name for name in fold.unseen if cluster in tasks[name].clusters]
            if members and (measure.of == "unseen" or taxonomy.cluster(cluster) in wanted):
                yield fold.name, cluster, members


def _fold_of(task: str, folds: Sequence[FoldInput]) -> FoldInput | None:
    """The fold that measured a task, preferably one in which it is unseen."""
    unseen = (fold for fold in folds if plain_name(task) in map(plain_name, fold.unseen))
    seen = (fold for fold in folds if plain_name(task) in map(plain_name, fold.seen))
    return next(unseen, None) or next(seen, None)
