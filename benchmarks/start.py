"""How long until a run's first training step is done, on the demo, and until ``--help`` is there.

Each command is started as a user starts it: wall seconds until each line of its progress, up to the end of the first
step, and CPU seconds of the process by then. The better of three starts counts, since the first one reads what is
imported from the disk. Rows are read anew each time.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.clock import timed

FAMILIES = ("decoder_only", "encoder_decoder")
STARTS = 3
_FIRST_STEP = re.compile(r"\bstep 1/")


def measure(*, small: bool = False) -> dict[str, Any]:
    """Seconds until each line of progress, by family."""
    from flantune.demo.write import write_demo

    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        world = write_demo(scratch / "world", seed=0)
        helped = [sys.executable, "-m", "flantune", "--help"]
        found: dict[str, Any] = {"load": round(os.getloadavg()[0], 1)}
        spent = [timed(helped, log=scratch / "help", environment=os.environ) for _ in range(1 if small else STARTS)]
        found["help"] = {
            "wall_s": round(min(one.wall_s for one in spent), 3),
            "cpu_s": round(min(one.cpu_s for one in spent), 3),
        }
        for family in FAMILIES[:1] if small else FAMILIES:
            starts = [_start(world / f"{family}.toml", scratch) for _ in range(1 if small else STARTS)]
            found[family] = min(starts, key=lambda told: told[-1]["wall_s"])
    return found


def _start(run_file: Path, scratch: Path) -> list[dict[str, Any]]:
    """The lines of a run until its first step is done, each with the seconds until then; the run is then ended."""
    with tempfile.TemporaryDirectory(dir=scratch) as out:
        command = [sys.executable, "-m", "flantune", "run", str(run_file), "--out", out]
        began = time.perf_counter()
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert process.stderr is not None
        told: list[dict[str, Any]] = []
        for line in process.stderr:
            wall, cpu = time.perf_counter() - began, _cpu_seconds(process.pid)
            told.append({"line": line.partition("] ")[2].strip()[:80], "wall_s": round(wall, 2), "cpu_s": cpu})
            if _FIRST_STEP.search(line):
                process.kill()
                process.wait()
                return told
    raise RuntimeError(f"the run ended before its first step, with exit code {process.wait()}: {told}")


def _cpu_seconds(process: int) -> float | None:
    """CPU seconds of a process and its threads; None where the system does not tell."""
    try:
        words = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return round((int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK"), 2)
