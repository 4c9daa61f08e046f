"""Pieces of work for other processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from flantune.errors import SourceError


def square(folder: Path, number: int) -> int:
    """Writes who was here."""
    (folder / f"{number}-{os.getpid()}").touch()
    return number * number


def square_or_die_once(folder: Path, number: int) -> int:
    """The fifth piece kills its process the first time."""
    died = folder / "died"
    if number == 5 and not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return square(folder, number)


def die(folder: Path, number: int) -> int:
    """Every piece kills its process."""
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def fail(folder: Path, number: int) -> int:
    """Something that the user can fix."""
    raise SourceError("there is no such row", where=f"row {number}", hint="mend it")


def tell_threads(folder: Path, number: int) -> str:
    """What workers are told about threads."""
    return os.environ.get("OMP_NUM_THREADS", "") + os.environ.get("TOKENIZERS_PARALLELISM", "")
