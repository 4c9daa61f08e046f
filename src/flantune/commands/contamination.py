"""A run file's folds, each with its training tasks against its unseen tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flantune.commands.plan import numbered_fold, prepare_tasks, split_fold
from flantune.contamination.compare import compare
from flantune.contamination.findings import Contamination, FoldFinding, Settings
from flantune.errors import ConfigError
from flantune.mixture.holdout import folds_of
from flantune.system.progress import Reporter, Silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flantune.mixture.holdout import Fold
    from flantune.settings.run_file import RunFile
    from flantune.tasks.example_store import PreparedTask


def check_run(
    file: RunFile, *, cache: Path, settings: Settings, only_fold: int | None = None, reporter: Reporter | None = None
) -> Contamination:
    """What the unseen tasks of each fold of a run share with what is trained on.

    Args:
        file: The run file.
        cache: Folder of adapted examples, unless the run file names one.
        settings: What counts as an overlap.
        only_fold: Look at this fold only, counted from 0.
        reporter: Shown the progress.

    Raises:
        ConfigError: Nothing is held out, or there is no such fold.
    """
    told = reporter or Silent()
    chosen = _folds(file, only_fold)
    told.stage("read the tasks")
    config = file.config
    prepared, skipped = prepare_tasks(
        config, root=file.root, cache=config.data.cache or cache, on_task=lambda n, of, name: told.step(n, of, name)
    )
    for name, reason in skipped.items():
        told.note(f"{name} is left out: {reason}")
    findings = []
    for fold in chosen:
        told.stage(f"compare what is trained on with {', '.join(fold.held_out)}")
        findings.append(_check_fold(file, prepared, fold, settings, told))
    return Contamination(name=config.name, settings=settings, folds=tuple(findings))


def _folds(file: RunFile, only_fold: int | None) -> Sequence[Fold]:
    folds = folds_of(file.config.holdout)
    if not folds:
        hint = 'hold at least one cluster out: [holdout] folds = [["natural language inference"]]'
        raise ConfigError("nothing is held out, so nothing is unseen", where="holdout.folds", hint=hint)
    if only_fold is None:
        return folds
    return (numbered_fold(file.config, only_fold),)


def _check_fold(
    file: RunFile, prepared: Sequence[PreparedTask], fold: Fold, settings: Settings, told: Reporter
) -> FoldFinding:
    split = split_fold(file.config, [p.task for p in prepared], fold)
    train, unseen = ({task.name for task in tasks} for tasks in (split.train, split.unseen))
    return compare(
        [p for p in prepared if p.task.name in train],
        [p for p in prepared if p.task.name in unseen],
        settings=settings,
        held_out=split.held_out,
        on_rows=told.step,
    )
