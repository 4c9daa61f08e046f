"""How threads of one computation wait for each other: spinning where cores are free, asleep where others need them.

A thread that spins goes on at once, and burns a core until then. Where other processes need the cores, each of the many
small operations of a step then waits for a thread that is not running. GNU's OpenMP, which PyTorch brings along on
Linux, has its threads sleep when it looks after more threads than there are cores. So it is given some more to look
after, which do nothing, for as long as other processes need the cores. How many threads compute does not change, and so
no number does.
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
"""How often the cores are looked at."""
TAKEN = 0.25
"""Cores that others may use without being in the way."""
CALM_PERIODS = 3
"""Threads spin again once others have left the cores alone for so many periods."""
_STAT = Path("/proc/stat")


def wait_by_load() -> None:
    """Has OpenMP's threads sleep while they wait where other processes need the cores; before PyTorch is imported.

    What the environment says stays. Without GNU's OpenMP or a view of the cores, threads always sleep.
    """
    if {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        return
    if sys.platform == "linux" and _STAT.exists() and _is_gnu():
        threading.Thread(target=_watch, name="flantune-cores", daemon=True).start()
    else:
        os.environ["OMP_WAIT_POLICY"] = "passive"


@dataclass(frozen=True, slots=True)
class Usage:
    """What the cores of this process have done until a moment, in CPU seconds.

    Attributes:
        at: The moment, in seconds.
        all: What all processes used.
        own: What this one used.
    """

    at: float
    all: float
    own: float

    def others(self, before: Usage) -> float:
        """Cores that other processes used since an earlier moment, on average.

        >>> Usage(12.0, 8.5, 3.0).others(Usage(10.0, 5.0, 2.0))
        1.25
        """
        return max(0.0, self.all - before.all - (self.own - before.own)) / max(self.at - before.at, 1e-9)


def usage() -> Usage:
    """What the cores have done until now, by the kernel's count (Linux)."""
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
        """Threads that wait sleep from here on, once OpenMP is loaded."""
        libraries = _loaded()
        if self._over is None and libraries:
            self._over = threading.Event()
            begun = threading.Event()
            threading.Thread(
                target=_hold, args=(libraries, begun, self._over), name="flantune-idle", daemon=True
            ).start()
            begun.wait()

    def end(self) -> None:
        """They spin again."""
        if self._over is not None:
            self._over.set()
            self._over = None


def _watch() -> None:
    sleep, calm, before = Sleep(), 0, usage()
    # Cores that others may use while all threads of this process run.
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
    """Has OpenMP make more threads than there are cores, and keeps them until it is over; they end with this thread."""
    import ctypes

    # A task of C that does nothing when it is given nothing.
    nothing = ctypes.cast(ctypes.CDLL(None).free, ctypes.c_void_p)
    for path in libraries:
        ctypes.CDLL(path).GOMP_parallel(nothing, None, ctypes.c_uint((os.cpu_count() or 1) + 1), ctypes.c_uint(0))
    begun.set()
    over.wait()


def _loaded() -> list[str]:
    """Files of GNU's OpenMP that this process has loaded."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    paths = [line.split(maxsplit=5)[5] for line in maps.splitlines() if "libgomp" in line]
    return list(dict.fromkeys(path for path in paths if Path(path).name.startswith("libgomp")))


def _is_gnu() -> bool:
    """Whether the PyTorch that would be imported brings GNU's OpenMP along; nothing is imported for it."""
    found = importlib.util.find_spec("torch")
    folders = (found and found.submodule_search_locations) or ()
    return any(list(Path(folder, "lib").glob("libgomp*")) for folder in folders)
