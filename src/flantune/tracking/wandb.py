"""Weights & Biases; without network: ``WANDB_MODE=offline``, and ``wandb sync`` later."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flantune.tracking.tracker import Tracked


def open_tracker(tracked: Tracked) -> _Wandb:
    """A Weights & Biases run, with its files in the folder ``wandb`` of the tracked run."""
    return _Wandb(tracked)


class _Wandb:
    def __init__(self, tracked: Tracked) -> None:
        import wandb

        self.key = tracked.earlier or uuid.uuid4().hex[:8]
        self._library: Any = wandb
        self._run: Any = wandb.init(
            project=tracked.project,
            name=tracked.title,
            group=tracked.run,
            id=self.key,
            resume="allow",
            config=dict(tracked.settings),
            dir=str(tracked.folder),
            reinit="create_new",
            settings=wandb.Settings(console="off", silent=True, x_disable_stats=True),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def conclude(self, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        self._run.summary.update(dict(scores))
        kept = self._library.Artifact(f"results-{self.key}", type="results")
        for path in files:
            kept.add_file(str(path))
        self._run.log_artifact(kept)

    def close(self) -> None:
        self._run.finish()
