"""How long until a run's first training step is done, on the demo, and until ``--help`` is there.

Each command is a process of its own, as a user would start it: wall seconds and CPU seconds from its start to the
beginning of each stage and to the end of the first step. The better of three starts counts, since the first one
reads what is imported from the disk. Rows are read anew each time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.clock import timed

FAMILIES = ("decoder_only", "encoder_decoder")
STARTS = 3


def measure(*, small: bool = False) -> dict[str, Any]:
    """Seconds until each stage, by family."""
    from flantune.demo.write import write_demo

    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        world = write_demo(scratch / "world", seed=0)
        helped = [sys.executable, "-m", "flantune", "--help"]
        found: dict[str, Any] = {"load": round(os.getloadavg()[0], 1)}
        spent = [timed(helped, log=scratch / "help", environment=os.environ) for _ in range(1 if small else STARTS)]
        found["help"] = {"wall_s": round(min(one.wall_s for one in spent), 3), "cpu_s": min(one.cpu_s for one in spent)}
        for family in FAMILIES[:1] if small else FAMILIES:
            starts = [_start(world / f"{family}.toml", scratch) for _ in range(1 if small else STARTS)]
            found[family] = min(starts, key=lambda told: told[-1]["wall_s"])
    return found


def _start(run_file: Path, scratch: Path) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(dir=scratch) as out:
        command = [sys.executable, "-m", "benchmarks.start", str(time.time()), str(run_file), out]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


class _FirstStep:
    """A reporter that ends the program once a training step is done."""

    def __init__(self, began: float) -> None:
        self._began = began

    def stage(self, title: str) -> None:
        self._tell(title)

    def note(self, message: str) -> None:
        """Not told."""

    def step(self, done: float, total: float, text: str) -> None:  # noqa: ARG002
        if text.startswith("step 1/"):
            self._tell("the first step is done")
            sys.exit(0)

    def _tell(self, title: str) -> None:
        told = {"stage": title, "wall_s": round(time.time() - self._began, 2), "cpu_s": round(time.process_time(), 2)}
        print(json.dumps(told), flush=True)


def side(began: str, run_file: str, out: str) -> None:
    """What ``flantune run`` does, until the first step."""
    from flantune.system.waiting import wait_passively

    wait_passively()
    from flantune.cli.console import quiet_libraries

    quiet_libraries()
    from flantune.commands.run import run
    from flantune.settings.run_file import load_run_file

    run(load_run_file(Path(run_file)), out=Path(out), reporter=_FirstStep(float(began)))


if __name__ == "__main__":
    side(*sys.argv[1:])
