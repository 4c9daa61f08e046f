"""Arms that learn a single task from its labeled rows, and the model that has never seen it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from flantune.errors import ConfigError, did_you_mean
from flantune.mixture.holdout import Fold, FoldTasks, folds_of, hold_out_fold
from flantune.mixture.taxonomy import load_taxonomy
from flantune.runs.files import REPEAT, read_mixture
from flantune.runs.products import DataReport
from flantune.settings.json_file import read_value

if TYPE_CHECKING:
    from flantune.runs.folder import RunFolder
    from flantune.settings.run_file import RunFile
    from flantune.studies.study import Arm
    from flantune.types import Task

Settings = dict[str, object]

ALL_ROWS = 0
"""As a number of labeled rows, and as ``mixture.max_examples``: all rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The tasks on which ways to use a model are compared, and the fold that never sees them.

    Attributes:
        tasks: Names of the tasks, all unseen by the fold's model.
        fold: What the tuned model has not seen.
        notes: Sentences on unseen tasks that are left out.
        without_dev: Names of the tasks that have no dev rows.
    """

    tasks: tuple[str, ...]
    fold: Fold
    notes: tuple[str, ...]
    without_dev: tuple[str, ...]

    @property
    def tuned_settings(self) -> Settings:
        """The model tuned on instructions: the run file's own tuning without these tasks, in one fold."""
        one = self.fold
        return {
            "holdout.folds": [list(one.clusters)] if one.clusters else [],
            "holdout.task_folds": [list(one.tasks)] if one.tasks else [],
            "holdout.alone": [],
        }

    def alone_settings(self, *, rows: int, steps: int) -> Settings:
        """One model per task, tuned only on that task.

        Args:
            rows: Labeled rows of each task; ``ALL_ROWS``: every one.
            steps: Optimizer steps of each model.
        """
        return {
            "holdout.folds": [],
            "holdout.task_folds": [],
            "holdout.benchmarks": [],
            "holdout.alone": list(self.tasks),
            "data.include": list(self.tasks),
            "data.exclude": [],
            # Both are for the run file's own folds.
            "data.clean": None,
            "data.prepared": None,
            "mixture.parts": {},
            "mixture.proportions": "",
            "mixture.only": [],
            "mixture.max_epochs": 0.0,
            "mixture.planned_draws": 0,
            "mixture.cap": "rows",
            "mixture.max_examples": rows,
            "training.steps": steps,
            # Dev rows are labeled rows too, so they are counted.
            "training.keep": "last",
        }


def asked(shots: int, *, dev_rows: int = 0) -> Settings:
    """How the tasks are asked: with this number of exemplars, always the same rows; every labeled row used is counted.

    Args:
        shots: Exemplars before each query.
        dev_rows: Dev rows that pick a template.
    """
    return {
        "evaluation.shots": [shots],
        "evaluation.exemplar_pool": shots,
        "evaluation.dev_examples": dev_rows,
        # For each of many models they would cost more than the tasks, and they are not compared here.
        "evaluation.suites": [],
    }


def compared_tasks(file: RunFile, tasks: Sequence[Task], *, wanted: Sequence[str], fold: int) -> Compared:
    """The tasks of a fold that a model can be tuned on; only the requested ones, or all.

    Raises:
        ConfigError: There is no such fold, a requested task is not unseen in it, or none is left.
    """
    held = _fold(file, fold)
    sides = hold_out_fold(tasks, held, taxonomy=load_taxonomy(file.config.holdout.taxonomy))
    without = [task.name for task in sides.unseen if "train" not in task.splits]
    able = [task.name for task in sides.unseen if task.name not in without]
    if faults := list(_faults(wanted, able, without, sides)):
        raise ConfigError("\n".join(faults), where="tasks", hint=f"available: {', '.join(able) or 'none'}")
    if not able:
        hint = "hold out a cluster some of whose tasks have a train split"
        raise ConfigError(f"no unseen task of {_named(held)} has rows to be tuned on", where="tasks", hint=hint)
    notes = [f"left out, having no rows to be tuned on: {', '.join(without)}"] if without and not wanted else []
    chosen = tuple(wanted) or tuple(able)
    without_dev = tuple(task.name for task in tasks if task.name in chosen and "dev" not in task.splits)
    return Compared(tasks=chosen, fold=held, notes=tuple(notes), without_dev=without_dev)


def _fold(file: RunFile, number: int) -> Fold:
    folds = [one for one in folds_of(file.config.holdout) if one.clusters or one.tasks]
    if not folds:
        hint = 'hold out the cluster of the tasks to compare: [holdout] folds = [["natural language inference"]]'
        raise ConfigError("nothing is held out, so no task is unseen", where="holdout.folds", hint=hint)
    if number >= len(folds):
        last = len(folds) - 1
        raise ConfigError(
            f"there is no fold {number}", where="fold", hint=f"the run file has folds 0 to {last}" if last else "give 0"
        )
    return folds[number]


def _faults(wanted: Sequence[str], able: Sequence[str], without: Sequence[str], sides: FoldTasks) -> Iterator[str]:
    trained = [task.name for task in sides.train]
    for name in wanted:
        if name in without:
            yield f'"{name}" has no rows to be tuned on'
        elif name in trained:
            yield f'"{name}" is trained on when {", ".join(sides.held_out)} is held out, so it is not unseen'
        elif name not in able:
            yield f'no unseen task "{name}"; {did_you_mean(name, able)}'.rstrip("; ")


def _named(fold: Fold) -> str:
    return ", ".join(fold.held_out)


def check_pretrained(file: RunFile) -> None:
    """Makes sure that all arms start from the same pretrained model.

    Raises:
        ConfigError: The model is built from scratch, or is tuned in a way that no further tuning can start from.
    """
    model = file.config.model
    if model.scratch is not None:
        hint = "name a pretrained one with model.path; `flantune pretrain` and `flantune demo` make small ones"
        message = "a model made from nothing has nothing to be prompted for, and would be another in every arm"
        raise ConfigError(message, where="model.scratch", hint=hint)
    if model.adapter == "prompt":
        hint = 'set model.adapter = "none" or "lora"; the study has arms with virtual tokens of their own'
        raise ConfigError(
            "the model of this study cannot be tuned by its prompt alone", where="model.adapter", hint=hint
        )


def mergeable(file: RunFile) -> Settings:
    """The settings that let other runs start from a tuned model: low-rank adapters are merged into the weights."""
    return {"model.merge_adapter": True} if file.config.model.adapter == "lora" else {}


def prompt_settings(*, learning_rate: float) -> Settings:
    """Prompt tuning: only virtual tokens are trained, by Adafactor with an absolute rate.

    Raises:
        ConfigError: The library for virtual tokens is not installed.

    Paper: Lester et al. 2021, section 3.
    """
    if find_spec("peft") is None:
        hint = "in flantune's folder: pip install -e '.[peft]'"
        raise ConfigError("prompt tuning needs peft, which is not installed", where="prompt_tuning", hint=hint)
    return {
        "model.adapter": "prompt",
        "model.merge_adapter": False,
        "training.optimizer": "adafactor",
        "training.adafactor.parameter_scale": False,
        "training.learning_rate": learning_rate,
        "training.schedule": "constant",
        "training.warmup_steps": 0,
        "training.weight_decay": 0.0,
        "training.freeze": [],
    }


def rows_label(rows: int) -> str:
    """A number of labeled rows, in words.

    >>> rows_label(32), rows_label(0)
    ('32 rows', 'all rows')
    """
    return f"{rows:,} rows" if rows else "all rows"


def counted_rows(arm: Arm, folder: RunFolder, tasks: Sequence[str]) -> int | None:
    """Labeled rows of a measured task that a finished arm used, as a mean over tasks: some have fewer than requested.

    None if the run has no more information than the study.
    """
    if arm.labeled_rows and arm.templates == "best-dev":
        report = read_value(folder.data, DataReport, mends=REPEAT)
        splits = [one.splits.get("dev") for one in report.tasks if one.name in tasks]
        rows = [min(arm.labeled_rows, split.kept) if split else 0 for split in splits]
        return round(sum(rows) / len(rows)) if rows else None
    return tuned_rows(folder) if arm.reads == "tuned" else None


def tuned_rows(folder: RunFolder) -> int | None:
    """Labeled rows of a task that the models of a run were tuned on, each only on its task: the mean over tasks.

    None if no model was tuned on a single task.
    """
    mixtures = [read_mixture(fold) for fold in folder.folds() if fold.mixture.is_file()]
    rows = [
        task.capped
        for one in mixtures
        if len(one.train) == 1 and one.held_out == Fold(alone=one.train[0]).held_out
        for cluster in one.tree.clusters
        for task in cluster.tasks
    ]
    return round(sum(rows) / len(rows)) if rows else None
