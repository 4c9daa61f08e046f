"""Sides that take one optimizer step in turn, each in a process of its own, so that a busy machine slows all alike.

A side is a program that talks in lines: after each optimizer step it writes one JSON object on standard output (CPU
seconds and useful tokens so far, peak memory) and waits for a line on standard input before it goes on.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

MARK = "@@side@@ "


class Turn:
    """A side's end of the line: call ``step`` after each optimizer step."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", buffering=1)
        # Whatever a library prints goes to standard error.
        os.dup2(2, 1)

    def step(self, tokens: int, **more: object) -> None:
        """Tells the totals so far and waits for the next turn."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        told = {"cpu": time.process_time(), "wall": time.perf_counter(), "tokens": tokens, "peak": peak, **more}
        self._out.write(MARK + json.dumps(told) + "\n")
        if not sys.stdin.readline():
            sys.exit(0)
        

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
            if line.startswith(MARK):
                self.told.append(json.loads(line[len(MARK) :]))
                return self.told[-1]
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


def race(sides: list[Side], *, steps: int, warm_up: int) -> dict[str, dict[str, Any]]:
    """Lets the sides step in turn; the medians of CPU seconds a useful token, and each side's peak memory.

    Args:
        sides: Started, none has been listened to.
        steps: Measured steps.
        warm_up: Steps before them that do not count.
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
    return {side.name: _figures(side.told[warm_up:]) for side in sides}


def _figures(told: list[dict[str, Any]]) -> dict[str, Any]:
    pairs = list(zip(told, told[1:], strict=False))
    speeds = [(b["tokens"] - a["tokens"]) / (b["cpu"] - a["cpu"]) for a, b in pairs]
    walls = [(b["tokens"] - a["tokens"]) / (b["wall"] - a["wall"]) for a, b in pairs]
    return {
        "useful_tokens_per_cpu_second": round(statistics.median(speeds)),
        "least_and_most": [round(min(speeds)), round(max(speeds))],
        "useful_tokens_per_cpu_second_overall": round(
            (told[-1]["tokens"] - told[0]["tokens"]) / (told[-1]["cpu"] - told[0]["cpu"])
        ),
        "useful_tokens_per_second": round(statistics.median(walls)),
        "tokens_a_step": round((told[-1]["tokens"] - told[0]["tokens"]) / len(pairs)),
        "peak_memory_mib": round(told[-1]["peak"] / 2**20),
        "steps": len(pairs),
    }
