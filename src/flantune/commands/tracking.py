"""Sends a run to trackers: its curves during tuning, its scores and report at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.runs.folder import RunFolder
from flantune.runs.identity import flat
from flantune.tracking.follow import Followers, follow

if TYPE_CHECKING:
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
    """A fold's means over held-out clusters: for each model, and each later model's difference, in points.

    The first number of shots has no label; others have.
    """
    found: dict[str, float] = {}
    first = results.clusters[0].shots if results.clusters else 0
    for cluster in results.clusters:
        if cluster.fold == fold:
            asked = cluster.cluster if cluster.shots == first else f"{cluster.cluster}, {cluster.shots} shots"
            found |= {f"unseen/{asked}/{model}": 100 * one.value for model, one in cluster.raw.scores.items()}
            found |= {f"unseen/{asked}/{m} change": 100 * d.value for m, d in cluster.raw.differences.items()}
    return found
