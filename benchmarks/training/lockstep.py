"""Sides that take one optimizer step in turn, each in a process of its own, so that a busy machine slows all alike.

A side is a program that talks in lines: after each optimizer step it writes one JSON object on standard output (CPU
seconds and useful tokens so far, peak memory) and waits for a line on standard input before it goes on.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

MARK = "@@side@@ "
CHECKPOINT_EVERY = 6
"""Steps between checkpoints, on every side: one in the measured steps."""


class Turn:
    """A side's end of the line: call ``step`` after each optimizer step."""

    def __init__(self) -> None:
        self._start = 0
        self._out = os.fdopen(os.dup(1), "w", buffering=1)
        # Whatever a library prints goes to standard error.
        os.dup2(2, 1)

    def step(self, tokens: int) -> None:
        """Tells the totals so far and waits for the next turn."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        # Before any step; the peak until then, from building the world, would be too much.
        self._start = self._start or _accelerator_memory() or _resident()
        told = {
            "cpu": time.process_time(),
            "wall": _wall(),
            "tokens": tokens,
            "start": self._start,
            "peak": _accelerator_peak() or peak,
        }
        self._out.write(MARK + json.dumps(told) + "\n")
        if not sys.stdin.readline():
            sys.exit(0)
        # CPU time that a background thread spends while the others have their turn is still its own.
        self._out.write(MARK + json.dumps({"cpu_after": told["cpu"], "wall_after": _wall()}) + "\n")


def _wall() -> float:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def _resident() -> int:
    """Bytes of memory of this process, without what was freed but not returned; Linux with glibc."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def _accelerator_memory() -> int:
    torch = sys.modules.get("torch")
    return torch.cuda.memory_allocated() if torch is not None and torch.cuda.is_initialized() else 0


def _accelerator_peak() -> int:
    torch = sys.modules.get("torch")
    return torch.cuda.max_memory_allocated() if torch is not None and torch.cuda.is_initialized() else 0


@dataclass(slots=True, kw_only=True)
class Side:
    """A running side and what it told.

    Attributes:
        told: One record a step; the first comes before any step.
    """

    name: str
    process: subprocess.Popen[str]
    told: list[dict[str, Any]] = field(default_factory=list)

    def listen(self) -> dict[str, Any]:
        """The next record.

        Raises:
            RuntimeError: The side ended.
        """
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.startswith(MARK):
                continue
            found = json.loads(line[len(MARK) :])
            if "cpu_after" in found:
                self.told[-1].update(found)
                continue
            self.told.append(found)
            return found
        raise RuntimeError(f"{self.name} ended with exit code {self.process.wait()}")

    def go(self) -> None:
        """Lets it take its turn."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()


def start(name: str, module: str, settings: dict[str, Any], *, threads: int) -> Side:
    """Starts a side, limited to so many threads."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
    limits = dict.fromkeys(names, str(threads))
    process = subprocess.Popen(
        [sys.executable, "-m", module, json.dumps({**settings, "threads": threads})],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **limits, "TOKENIZERS_PARALLELISM": "false"},
    )
    return Side(name=name, process=process)


def race(sides: list[Side], *, steps: int, warm_up: int, clock: str = "cpu") -> dict[str, dict[str, Any]]:
    """Lets the sides step in turn; useful tokens a second of the clock, and each side's peak memory.

    Args:
        sides: Started, none has been listened to.
        steps: Measured steps.
        warm_up: Steps before them that do not count.
        clock: "cpu" (seconds of all threads of a side) or "wall".
    """
    try:
        for side in sides:
            side.listen()
        for _ in range(warm_up + steps):
            for side in sides:
                side.go()
                side.listen()
    finally:
        for side in sides:
            side.process.kill()
            side.process.wait()
    return {
        side.name: {
            **_figures(side.told[warm_up:], clock),
            "memory_at_the_start_mib": round(side.told[0]["start"] / 2**20),
        }
        for side in sides
    }


def _figures(told: list[dict[str, Any]], clock: str) -> dict[str, Any]:
    pairs = list(pairwise(told))
    # From leave to go on to the end of the step: what happens while it waits is the others' time.
    spent = [after[clock] - before[f"{clock}_after"] for before, after in pairs]
    tokens = [after["tokens"] - before["tokens"] for before, after in pairs]
    speeds = [count / seconds for count, seconds in zip(tokens, spent, strict=True)]
    return {
        "useful_tokens_per_unit": round(statistics.median(speeds)),
        "least_and_most": [round(min(speeds)), round(max(speeds))],
        "overall": round(sum(tokens) / sum(spent)),
        "tokens_a_step": round(sum(tokens) / len(tokens)),
        "peak_memory_mib": round(told[-1]["peak"] / 2**20),
        "steps": len(pairs),
    }
