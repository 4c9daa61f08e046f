"""Trackio: a local database of runs, or a hub Space."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from flantune.tracking.tracker import Tracked


def open_tracker(tracked: Tracked) -> _Trackio:
    """A Trackio run, in its own folder of runs (``TRACKIO_DIR``)."""
    return _Trackio(tracked)


class _Trackio:
    def __init__(self, tracked: Tracked) -> None:
        import trackio

        # Trackio finds a run by its name, and two runs may have the same title.
        self.key = tracked.earlier or f"{tracked.title} {uuid.uuid4().hex[:6]}"
        self._run = trackio.init(
            project=tracked.project,
            name=self.key,
            group=tracked.run,
            config=dict(tracked.settings),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def conclude(self, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        self._run.log(dict(scores))
        for path in files:
            self._run.log_artifact(path, name=path.name, type="results")

    def close(self) -> None:
        self._run.finish()
