"""What the arms of a study are, found out without reading a row: their sides, their budgets, their mixtures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.mixture.conftest import Counted, Ready

from flantune.commands.plan import split_fold
from flantune.mixture.holdout import FoldTasks, folds_of
from flantune.mixture.parts import check_selectors
from flantune.mixture.portions import Portion, lay_out
from flantune.settings.config import RunConfig
from flantune.settings.run_file import RunFile, run_file_of
from flantune.studies.catalog import make_study, named_study
from flantune.studies.study import Arm, Study, arm_file
from flantune.tasks.load import load_tasks
from flantune.types import Task


def file_of(root: Path, values: Mapping[str, Any]) -> RunFile:
    """A run file made of plain values."""
    return run_file_of(RunConfig.model_validate(values), root=root, origin="test")


_LOADED: dict[tuple[str, Path], tuple[Task, ...]] = {}


def tasks_of(file: RunFile) -> tuple[Task, ...]:
    """The tasks of a run file; many arms have the same."""
    key = file.config.data.model_dump_json(), file.root
    if key not in _LOADED:
        _LOADED[key] = load_tasks(file.config.data, root=file.root)
    return _LOADED[key]


def study_of(name: str, file: RunFile, **options: Any) -> Study:
    return make_study(named_study(name), file, tasks_of(file), options=options)


def sides(file: RunFile, arm: Arm) -> list[FoldTasks]:
    """Every fold of an arm, checked for leaks by what a run would do with its run file."""
    own = arm_file(file, arm)
    tasks = tasks_of(own)
    check_selectors(own.config.mixture.parts, tasks)
    return [split_fold(own.config, tasks, fold) for fold in folds_of(own.config.holdout)]


def names(tasks: Sequence[Task]) -> set[str]:
    return {task.name for task in tasks}


def budget(file: RunFile, arm: Arm) -> tuple[int, int]:
    """Steps and tokens of a step."""
    config = arm_file(file, arm).config
    return config.training.steps, config.packing.batch_tokens


def portions(file: RunFile, arm: Arm, *, rows: int = 1_000, sizes: Mapping[str, int] | None = None) -> list[Portion]:
    """What an arm's first fold draws from, where each task has so many rows."""
    config = arm_file(file, arm).config
    ready = [Ready(task, {"train": Counted((sizes or {}).get(task.name, rows))}) for task in sides(file, arm)[0].train]
    return list(lay_out(ready, seed=config.seed, settings=config.mixture, prompts=config.prompts))


def shares(found: Sequence[Portion]) -> dict[str, float]:
    """Task → its share of all draws."""
    totals: dict[str, float] = {}
    for portion in found:
        totals[portion.task.name] = totals.get(portion.task.name, 0.0) + portion.share
    return totals
