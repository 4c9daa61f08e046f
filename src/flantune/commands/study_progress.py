"""Progress of runs that other processes make: each keeps its latest line in a file; the study shows them in turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flantune.studies.planned_runs import PlannedRun
    from flantune.system.progress import Reporter

_LOOK_EVERY = 1.0
"""Seconds between two lines of a run, and between two looks at them."""
_LOOKS = 4
"""A run is shown for so many looks, then the next one."""


class LatestLine:
    """A ``Reporter`` that keeps its latest line in a file. A full disk does not stop the work."""

    def __init__(self, path: Path) -> None:
        self._path, self._title, self._written = path, "", 0.0

    def stage(self, title: str) -> None:
        """Writes the title."""
        self._title = title
        self._write(title)

    def note(self, message: str) -> None:
        """Says nothing."""

    def step(self, done: float, total: float, text: str) -> None:  # noqa: ARG002
        """Writes the numbers after the title, once a second at most."""
        if time.monotonic() - self._written >= _LOOK_EVERY:
            self._write(f"{self._title}: {text}")

    def close(self) -> None:
        """Deletes the file."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _write(self, text: str) -> None:
        self._written = time.monotonic()
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(text, encoding="utf-8")


class RunsInProgress:
    """The number of finished runs, and what the others are doing."""

    def __init__(self, runs: Sequence[PlannedRun]) -> None:
        self.finished = 0
        self._runs, self._looks = tuple(runs), 0

    def text(self) -> str:
        """Which runs are finished, and the latest line of one of the others; another one after some calls."""
        lines = [(run, line) for run in self._runs if (line := _read(run.progress))]
        shown = f"{self.finished} of {len(self._runs)} runs done"
        if lines:
            run, line = lines[self._looks // _LOOKS % len(lines)]
            shown = f"{shown} · {run.label}: {line}"
        self._looks += 1
        return shown


@contextmanager
def showing(runs: Sequence[PlannedRun], reporter: Reporter) -> Iterator[RunsInProgress]:
    """Within the block the progress of these runs is reported; the caller counts the finished ones."""
    progress, ended = RunsInProgress(runs), threading.Event()
    for run in runs:  # of a call that was killed
        LatestLine(run.progress).close()

    def show() -> None:
        while not ended.wait(_LOOK_EVERY):
            reporter.step(progress.finished, len(runs), progress.text())

    thread = threading.Thread(target=show, daemon=True, name="runs in progress")
    thread.start()
    try:
        yield progress
    finally:
        ended.set()
        thread.join()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):  # not begun or just finished; half written
        return ""
