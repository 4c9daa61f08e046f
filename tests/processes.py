"""Processes of their own for tests: as good as fresh, without the seconds that each one's imports would take.

They are forked from one that has imported everything and done nothing: another interpreter than the one that runs the
tests, with other hash seeds.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import HUNG_AFTER_S

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.preloaded"])


@dataclass(frozen=True)
class Started:
    """A command that runs, and where it writes.

    Attributes:
        process: The process.
        folder: Holds the files ``out`` and ``err``.
    """

    process: Any
    folder: Path

    def end(self) -> tuple[int, str, str]:
        """Its exit code, and what it wrote to both streams."""
        self.process.join(HUNG_AFTER_S)
        if self.process.is_alive():
            self.process.kill()
            raise AssertionError("a process hangs")
        texts = [(self.folder / name).read_text(encoding="utf-8") for name in ("out", "err")]
        return self.process.exitcode, *texts


def start_command(
    folder: Path, *arguments: str, environment: dict[str, str] | None = None, cwd: Path | str = "."
) -> Started:
    """Starts ``flantune`` with some arguments; what it writes goes into files of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    process = PROCESSES.Process(
        target=_command, args=(folder, arguments, environment or {}, Path(cwd).absolute()), daemon=True
    )
    process.start()
    return Started(process, folder)


def run_command(folder: Path, *arguments: str, cwd: Path | str = ".") -> tuple[int, str, str]:
    """Runs ``flantune``: its exit code, and what it wrote to both streams."""
    return start_command(folder, *arguments, cwd=cwd).end()


def _command(folder: Path, arguments: tuple[str, ...], environment: dict[str, str], cwd: Path) -> None:
    from flantune.cli.main import main

    os.environ |= environment
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    os.chdir(cwd)
    sys.argv = ["flantune", *arguments]
    main()
