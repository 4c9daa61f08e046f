"""Metrics on disk: one line per logged step, with neither gap nor repeat however often the run was stopped."""

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
        """Continues the log of a run after a step: lines that a killed process wrote beyond it are removed.

        Args:
            folder: Where the log is.
            after: The last step that is kept.
            note: Told when damaged lines are left out.

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
        """Makes sure that all lines are on the disk, before a checkpoint says that they are.

        Raises:
            TrainingError: The disk is full.
        """
        with _reported(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        # What a full disk still holds back was reported when it was written.
        with suppress(OSError):
            self._file.close()


def read_metrics(path: Path, *, up_to: int) -> tuple[list[MetricsLine], int]:
    """The whole lines of a metrics file with steps up to one, and how many others were damaged.

    A last line that was torn by a kill is not counted: its step is taken again.
    """
    if not path.is_file():
        return [], 0
    lines: list[MetricsLine] = []
    broken = torn = 0
    # Not splitlines: a task's name may hold what Unicode takes for the end of a line, and JSON does not.
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
