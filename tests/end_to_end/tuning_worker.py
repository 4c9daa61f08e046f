"""One start of a small tuning in a process of its own, which its parent may kill at any moment."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

from flantune.training.tuning_summary import TuningProgress, TuningSummary
from tests.training.small import make_lm, settings, tune_small

STEPS = 14


def start(architecture: str, folder: Path, parent: Connection | None = None) -> TuningSummary:
    """Starts the tuning or goes on with it; after each step it waits for its parent's leave to go on."""
    chosen = settings(steps=STEPS, checkpoint_every=2, log_every=3, schedule="cosine", warmup_steps=3)

    def tell(progress: TuningProgress) -> None:
        if parent is not None:
            parent.send(progress.step)
            parent.recv()

    if parent is not None:
        parent.send(0)
    return tune_small(folder, make_lm(architecture), chosen, progress=tell)
