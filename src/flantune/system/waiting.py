"""How OpenMP's threads wait for each other: they spin while cores are free, and sleep while other processes need them.

A spinning thread continues without delay, but occupies a core while it waits. If other processes need the cores, each
of the many small operations of a step then waits for a thread that is not scheduled. GNU's OpenMP, which PyTorch
includes on Linux, makes its threads sleep while it manages more threads than there are cores. So it is given additional
idle threads for as long as other processes need the cores. The number of computing threads stays the same, and so do
all results.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

PERIOD_S = 1.0
"""Interval at which the use of the cores is measured."""
TAKEN = 0.25
"""Mean number of cores that other processes may use before threads sleep."""
CALM_PERIODS = 3
"""Threads spin again after this many consecutive intervals without such use."""
_STAT = Path("/proc/stat")


def wait_by_load() -> None:
    """Makes waiting OpenMP threads sleep while other processes need the cores. Call it before PyTorch is imported.

    ``OMP_WAIT_POLICY`` or ``GOMP_SPINCOUNT`` in the environment take precedence. Without GNU's OpenMP, or where the use
    of the cores cannot be measured, waiting threads always sleep.
    """
    if {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        return
    if sys.platform == "linux" and _STAT.exists() and _is_gnu():
        threading.Thread(target=_watch, name="flantune-cores", daemon=True).start()
    else:
        os.environ["OMP_WAIT_POLICY"] = "passive"


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time used so far on the cores of this process.

    Attributes:
        at: Time of the measurement, in seconds.
        all: CPU seconds of all processes.
        own: CPU seconds of this process.
    """

    at: float
    all: float
    own: float

    def others(self, before: Usage) -> float:
        """Mean number of cores that other processes used since an earlier measurement.

        >>> Usage(12.0, 8.5, 3.0).others(Usage(10.0, 5.0, 2.0))
        1.25
        """
        return max(0.0, self.all - before.all - (self.own - before.own)) / max(self.at - before.at, 1e-9)


def usage() -> Usage:
    """The CPU time used until now, as counted by the kernel (Linux)."""
    ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    ticks = 0
    for line in _STAT.read_text(encoding="ascii").splitlines():
        name, *counts = line.split()
        if name in ours:
            user, nice, system, _, _, irq, softirq, steal = map(int, counts[:8])
            ticks += user + nice + system + irq + softirq + steal
    return Usage(time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), time.process_time())


class Sleep:
    """Makes waiting threads of GNU's OpenMP sleep, from ``begin`` to ``end``."""

    def __init__(self) -> None:
        self._over: threading.Event | None = None

    def begin(self) -> None:
        """Waiting threads sleep from now on, if OpenMP is loaded."""
        libraries = _loaded()
        if self._over is None and libraries:
            self._over = threading.Event()
            begun = threading.Event()
            threading.Thread(
                target=_hold, args=(libraries, begun, self._over), name="flantune-idle", daemon=True
            ).start()
            begun.wait()

    def end(self) -> None:
        """Waiting threads spin again."""
        if self._over is not None:
            self._over.set()
            self._over = None


def _watch() -> None:
    sleep, calm, before = Sleep(), 0, usage()
    # Cores that other processes may use while all threads of this process run.
    spare = TAKEN + max(0, len(os.sched_getaffinity(0)) - _threads())
    while True:
        time.sleep(PERIOD_S)
        now = usage()
        calm = calm + 1 if now.others(before) <= spare else 0
        before = now
        if not calm:
            sleep.begin()
        elif calm >= CALM_PERIODS:
            sleep.end()


def _threads() -> int:
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(asked) if asked.isdecimal() and int(asked) else len(os.sched_getaffinity(0))


def _hold(libraries: list[str], begun: threading.Event, over: threading.Event) -> None:
    """Creates more OpenMP threads than there are cores, and keeps them until ``over``; they end with this thread."""
    import ctypes

    # free(NULL) does nothing.
    nothing = ctypes.cast(ctypes.CDLL(None).free, ctypes.c_void_p)
    for path in libraries:
        ctypes.CDLL(path).GOMP_parallel(nothing, None, ctypes.c_uint((os.cpu_count() or 1) + 1), ctypes.c_uint(0))
    begun.set()
    over.wait()


def _loaded() -> list[str]:
    """Paths of the GNU OpenMP libraries that this process has loaded."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    paths = [line.split(maxsplit=5)[5] for line in maps.splitlines() if "libgomp" in line]
    return list(dict.fromkeys(path for path in paths if Path(path).name.startswith("libgomp")))


def _is_gnu() -> bool:
    """Whether the installed PyTorch includes GNU's OpenMP, determined without importing it."""
    found = importlib.util.find_spec("torch")
    folders = (found and found.submodule_search_locations) or ()
    return any(list(Path(folder, "lib").glob("libgomp*")) for folder in folders)
