"""A tuning step with other processes at work: threads that spin while they wait, sleep, or do either by load; one.

Each way tunes the demo's decoder-only model in a process of its own, with as many other processes at work as the table
says (endless loops). Seconds of wall and CPU time of the median step, and of the first one. All ways in turn, twice;
the better time of each counts. Other work of the machine is not kept away, so that ratios count and not seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

WAYS = {
    "two threads that spin (OpenMP's default)": {"OMP_NUM_THREADS": "2"},
    "two threads that sleep": {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"},
    "two threads by load (flantune's)": {"OMP_NUM_THREADS": "2", "FLANTUNE_WAIT": "by load"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
_LOOP = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
"""Ends when this process does, even when it is killed."""
_OWN = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "FLANTUNE_WAIT")


def measure(*, small: bool = False) -> dict[str, object]:
    """Wall and CPU seconds of a step, by way and by number of other processes."""
    from flantune.demo.write import write_demo

    found: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        world = write_demo(Path(name), seed=0)
        for others in (0,) if small else (0, 1, 2):
            row: dict[str, dict[str, float]] = {}
            for _ in range(1 if small else 2):
                for way, settings in WAYS.items():
                    tried = _step(world, settings, others=others, steps=4 if small else 10)
                    row[way] = {key: min(value, row.get(way, tried)[key]) for key, value in tried.items()}
            found[f"{others} other processes"] = row
            print(json.dumps({f"{others} other processes": row}), flush=True)
    return {"ways": found, "load": os.getloadavg()[0]}


def _step(world: Path, settings: dict[str, str], *, others: int, steps: int) -> dict[str, float]:
    environment = {name: value for name, value in os.environ.items() if name not in _OWN} | settings
    command = [sys.executable, "-m", "benchmarks.beside_side", str(world), str(steps)]
    with _at_work(others):
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


@contextmanager
def _at_work(others: int) -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", _LOOP]) for _ in range(others)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
