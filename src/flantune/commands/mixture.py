"""The mixture of a run file, shown before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.commands.plan import make_mixture, numbered_split, prepare_tasks
from flantune.mixture.sheet import MixtureSheet, mixture_sheet

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile

DRAWS = 1_000_000
"""Number of draws that epochs refer to, if the run file plans none."""


def show_mixture(
    file: RunFile,
    *,
    cache: Path,
    fold: int = 0,
    draws: int = 0,
    on_task: Callable[[int, int, str], None] | None = None,
) -> MixtureSheet:
    """The mixture of a fold, with how often its rows are drawn.

    Args:
        file: The run file; its model is not used.
        cache: Where adapted examples are stored.
        fold: Number of the fold, counted from 0.
        draws: Number of draws that epochs refer to; 0: as planned in the run file, or a million.
        on_task: Called as tasks are read.

    Raises:
        FlantuneError: Something is wrong with the tasks, their data or the mixture.
    """
    config = file.config
    prepared, skipped = prepare_tasks(config, root=file.root, cache=config.data.cache or cache, on_task=on_task)
    split = numbered_split(config, [one.task for one in prepared], fold)
    mixture = make_mixture(config, prepared, split)
    draws = draws or config.mixture.planned_draws or DRAWS
    return mixture_sheet(mixture, config.mixture, split, skipped=skipped, draws=draws)
