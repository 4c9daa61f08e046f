"""Sends a run to trackers: its curves during tuning, its scores and report at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.runs.folder import RunFolder
from flantune.runs.identity import flat
from flantune.tracking.follow import Followers, follow

if TYPE_CHECKING:
    from flantune.evaluation.estimates import Difference
    from flantune.evaluation.results import Results
    from flantune.settings.config import RunConfig

PRETRAINED = ""
"""The name used if there are no folds."""


@contextmanager
def tracking(
    config: RunConfig, metrics: Path, *, fold: str, note: Callable[[str], None], is_first: bool = True
) -> Iterator[Followers]:
    """The trackers that a run file names, following one metrics file.

    Args:
        config: The run file.
        metrics: The metrics file.
        fold: The fold; ``PRETRAINED`` if there are none.
        note: Called about failing trackers, which are left out.
        is_first: Whether this is the first process; only it reports.
    """
    followers = follow(
        config.tracking.to if is_first else (),
        metrics=metrics,
        note=note,
        project=config.tracking.project,
        run=config.name,
        fold=fold,
        settings=flat(config.model_dump(mode="json")),
    )
    try:
        yield followers
        followers.tell()
    finally:
        followers.close()


def conclude_tracking(config: RunConfig, root: Path, results: Results, *, note: Callable[[str], None]) -> None:
    """Sends trackers the scores of each fold, the report and its source files; once for the same scores."""
    folder = RunFolder(root)
    files = (folder.report, folder.results, folder.settings)
    if not config.tracking.to:
        return
    for fold in folder.folds():
        with tracking(config, fold.metrics, fold=fold.root.name, note=note) as followers:
            followers.tell()
            followers.conclude(scores_of(results, fold.root.name), files)


def scores_of(results: Results, fold: str) -> dict[str, float]:
    """A fold's scores: of held-out clusters, tasks and benchmarks, for each model.

    Each later model's difference is there, too. All are in points. The first number of shots has no label; others have.
    """
    found: dict[str, float] = {}
    first = next((one.shots for each in (results.clusters, results.tasks) for one in each), 0)

    def add(name: str, scores: Mapping[str, float], differences: Mapping[str, Difference], shots: int = first) -> None:
        label = name if shots == first else f"{name}, {shots} shots"
        found.update({f"{label}/{model}": 100 * value for model, value in scores.items()})
        found.update({f"{label}/{model} change": 100 * one.value for model, one in differences.items()})

    for cluster in results.clusters:
        if cluster.fold == fold:
            means = {model: one.value for model, one in cluster.raw.scores.items()}
            add(f"unseen/{cluster.cluster}", means, cluster.raw.differences, cluster.shots)
    for task in results.tasks:
        if task.fold == fold:
            means = {model: one.mean.value for model, one in task.scores.items()}
            add(f"task/{task.name}", means, task.differences, task.shots)
    for benchmark in results.benchmarks:
        if benchmark.fold == fold:
            means = {model: one.value for model, one in benchmark.averages[0].raw.scores.items()}
            add(f"benchmark/{benchmark.name}", means, benchmark.differences)
    return found
