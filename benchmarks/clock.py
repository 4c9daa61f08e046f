"""What a command costs: CPU time of the process and all its children, wall time, and memory of the largest of them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import ROOT


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Seconds of CPU and wall time; the peak memory of one process in MiB."""

    cpu_s: float
    wall_s: float
    peak_mib: float

    def to_json(self) -> dict[str, float]:
        """Rounded."""
        return {"cpu_s": round(self.cpu_s, 1), "wall_s": round(self.wall_s, 1), "peak_mib": round(self.peak_mib)}


def together(all_spent: Iterable[Spent]) -> Spent:
    """Commands one after the other: times add up, memory does not."""
    spent = list(all_spent)
    return Spent(
        cpu_s=sum(one.cpu_s for one in spent),
        wall_s=sum(one.wall_s for one in spent),
        peak_mib=max(one.peak_mib for one in spent),
    )


def timed(command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> Spent:
    """Runs a command to its end; what it says goes to a file.

    Raises:
        RuntimeError: It failed; the message has the last lines it said.
    """
    began = time.perf_counter()
    with log.open("ab") as handle:
        process = subprocess.Popen(command, stdout=handle, stderr=handle, env=environment, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    if process.returncode:
        last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
        raise RuntimeError("\n".join([f"exit code {process.returncode}: {' '.join(command)}", *last]))
    return Spent(cpu_s=usage.ru_utime + usage.ru_stime, wall_s=wall, peak_mib=usage.ru_maxrss / 1024)
