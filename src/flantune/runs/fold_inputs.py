"""The folds and tasks of a run as needed for scoring, from the run's own files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from flantune.contamination.clean import read_clean
from flantune.errors import EvaluationError, FlantuneError
from flantune.evaluation.run_samples import FoldInput, TaskInfo
from flantune.mixture.holdout import Fold, run_folds
from flantune.mixture.taxonomy import Taxonomy, load_taxonomy
from flantune.runs.files import REPEAT, read_mixture
from flantune.runs.folder import FoldFolder, RunFolder
from flantune.runs.products import DataReport
from flantune.settings.config import RunConfig
from flantune.settings.json_file import read_value
from flantune.tasks.taskfile_sections import METRICS


def task_infos(path: Path) -> list[TaskInfo]:
    """The tasks of a run, from its ``data.json``."""
    data = read_value(path, DataReport, mends=REPEAT, error=EvaluationError)
    if unknown := sorted({metric for task in data.tasks for metric in task.metrics} - set(METRICS)):
        raise EvaluationError(f'names metrics that there are not: "{unknown[0]}"', where=str(path), hint=REPEAT)
    return [
        TaskInfo(name=task.name, clusters=task.clusters, kind=task.kind, metrics=task.metrics) for task in data.tasks
    ]


def with_one_name(
    folds: Sequence[FoldInput], tasks: Sequence[TaskInfo], *, taxonomy: Taxonomy
) -> tuple[list[FoldInput], list[TaskInfo]]:
    """Folds and tasks with a single name for each cluster, the first one used by a fold.

    Tasks may use any name of a cluster; all of them count in its mean.
    """
    names: dict[str, str] = {}
    for fold in folds:
        for name in fold.clusters:
            names.setdefault(taxonomy.cluster(name), name)

    def known(clusters: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(names.get(taxonomy.cluster(name), name) for name in clusters))

    return (
        [replace(fold, clusters=known(fold.clusters)) for fold in folds],
        [replace(task, clusters=known(task.clusters)) for task in tasks],
    )


def fold_inputs(folder: RunFolder, config: RunConfig) -> list[FoldInput]:
    """What each fold held out, trained on and left unseen, from its own files."""
    inputs = []
    flagged = _flagged(folder.contamination)
    taxonomy = load_taxonomy(config.holdout.taxonomy)
    for held in run_folds(config.holdout):
        fold = _finished(folder, held, taxonomy)
        mixture = read_mixture(fold)
        seen = mixture.train if held.measures_trained or config.evaluation.seen_tasks else ()
        inputs.append(
            FoldInput(
                name=fold.root.name,
                clusters=mixture.clusters,
                unseen=mixture.unseen,
                seen=tuple(name for name in seen if name in mixture.measured_seen),
                flagged=flagged.get(frozenset(held.held_out)),
            )
        )
    return inputs


def _finished(folder: RunFolder, held: Fold, taxonomy: Taxonomy) -> FoldFolder:
    """A fold's folder, named as the tasks name the cluster; the run file may use another name."""
    own = folder.fold(held.held_out)
    if own.mixture.exists():
        return own
    wanted = {taxonomy.cluster(name) for name in held.held_out}
    for fold in folder.folds():
        if fold.mixture.exists() and {taxonomy.cluster(name) for name in read_mixture(fold).held_out} == wanted:
            return fold
    raise FlantuneError("this fold is not finished", where=str(own.root), hint="repeat `flantune run`")


def _flagged(path: Path) -> dict[frozenset[str], Mapping[str, frozenset[int]]]:
    """Held-out set → task → test rows that overlap with training; empty if not checked."""
    if not path.exists():
        return {}
    return {frozenset(fold.held_out): fold.test for fold in read_clean(path)}
