"""The mixture of a run file, looked at before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.commands.plan import make_mixture, numbered_split, prepare_tasks
from flantune.mixture.benchmarks import made_from
from flantune.mixture.leaks import kin_groups
from flantune.mixture.sheet import MixtureSheet, mixture_sheet
from flantune.mixture.taxonomy import load_taxonomy
from flantune.tasks.listed_tasks import ListedTask, as_task, flan2022_tasks

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile

DRAWS = 1_000_000
"""Draws that epochs are told for, where the run file plans none."""


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
        file: The run file; its model is not looked at.
        cache: Where adapted examples are kept.
        fold: Number of the fold, counted from 0.
        draws: Draws to tell epochs for; 0: those that the run file plans, or a million.
        on_task: Called as tasks are read.

    Raises:
        FlantuneError: The tasks, their data or the mixture are not as they should be.
    """
    config = file.config
    prepared, skipped = prepare_tasks(config, root=file.root, cache=config.data.cache or cache, on_task=on_task)
    split = numbered_split(config, [one.task for one in prepared], fold)
    mixture = make_mixture(config, prepared, split)
    draws = draws or config.mixture.planned_draws or DRAWS
    return mixture_sheet(mixture, config.mixture, split, skipped=skipped, draws=draws)


def describe_listed(listed: Sequence[ListedTask]) -> list[dict[str, Any]]:
    """Tasks of Flan 2022's list as JSON-able values, each with its kin in the whole list and what it gives away."""
    taxonomy = load_taxonomy(None)
    kin: dict[str, list[str]] = {}
    for group in kin_groups([as_task(one) for one in flan2022_tasks()], taxonomy):
        for name in group.tasks:
            kin.setdefault(name, []).append(group.name)
    found = []
    for one in listed:
        task = as_task(one)
        found.append(
            {
                **asdict(one),
                "how": one.how,
                "kin": kin.get(task.name, []),
                "benchmarks": [
                    benchmark.name
                    for benchmark in taxonomy.benchmarks
                    if made_from(task, [benchmark], taxonomy=taxonomy)
                ],
            }
        )
    return found
