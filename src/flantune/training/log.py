"""Metrics on disk: one line per logged step, without gaps or repetitions however often the run is stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flantune.errors import FlantuneError, TrainingError
from flantune.settings.json_file import plain, value_of
from flantune.system.files import write_text
from flantune.training.metrics_line import MetricsLine


class MetricsLog:
    """Appends to ``metrics.jsonl``."""

    def __init__(self, folder: Path, *, after: int, note: Callable[[str], None] = lambda _: None) -> None:
        """Continues the log of a run after a step; later lines, by a killed process, are removed.

        Args:
            folder: Folder of the log.
            after: The last step that is kept.
            note: Called if damaged lines are skipped.

        Raises:
            TrainingError: The folder cannot be written.
        """
        self._path = folder / "metrics.jsonl"
        lines, broken = read_metrics(self._path, up_to=after)
        if broken:
            note(f"{self._path}: lines left out since they are damaged: {broken:,}")
        write_text(self._path, "".join(_encode(line) for line in lines))
        self._file = self._path.open("a", encoding="utf-8", newline="\n")

    def write(self, line: MetricsLine) -> None:
        """Adds one line.

        Raises:
            TrainingError: The disk is full.
        """
        with _reported(self._path):
            self._file.write(_encode(line))
            self._file.flush()

    def flush(self) -> None:
        """Makes sure that all lines are on the disk before a checkpoint relies on them.

        Raises:
            TrainingError: The disk is full.
        """
        with _reported(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        # A full disk was reported when the line was written.
        with suppress(OSError):
            self._file.close()


def read_metrics(path: Path, *, up_to: int) -> tuple[list[MetricsLine], int]:
    """The valid lines of a metrics file up to a step, and the number of damaged ones.

    An incomplete last line, after a kill, is not counted: its step is repeated.
    """
    if not path.is_file():
        return [], 0
    lines: list[MetricsLine] = []
    broken = torn = 0
    # Not splitlines: a task's name may contain Unicode line separators, which JSON does not escape.
    for text in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        if not text:
            continue
        line = parsed_line(text)
        broken, torn = broken + torn, int(line is None)
        if line is not None and line.step <= up_to:
            lines.append(line)
    return lines, broken


def parsed_line(text: str | bytes) -> MetricsLine | None:
    """A line of the file; None for a damaged one."""
    try:
        return value_of(json.loads(text), MetricsLine, where="")
    except (FlantuneError, ValueError, RecursionError):
        return None


def _encode(line: MetricsLine) -> str:
    return json.dumps(plain(line), ensure_ascii=False) + "\n"


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "free some space, then repeat the command: it resumes from the last checkpoint"
        raise TrainingError(f"cannot be written: {error.strerror or error}", where=str(path), hint=hint) from error
