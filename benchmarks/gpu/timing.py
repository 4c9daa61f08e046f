"""What every part of the GPU's hour is given, and how it takes the time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a part is given.

    Attributes:
        device: Where to compute.
        is_small: With little of everything, to try the program.
        rate: Measured rate of bfloat16 matrix products, in GFLOP/s; 0 when it is not known yet.
        settings: The part's own.
    """

    device: torch.device
    is_small: bool
    rate: float
    settings: dict[str, Any]


class EnoughError(Exception):
    """Ends a run that has taken the steps that were wanted."""


def waited(device: torch.device) -> float:
    """The time when all that the device was told is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds(device: torch.device, work: Callable[[], object], *, rounds: int) -> float:
    """Median of some rounds, after one that does not count."""
    work()
    found = []
    for _ in range(rounds):
        start = waited(device)
        work()
        found.append(waited(device) - start)
    return statistics.median(found)


def peak_gib(device: torch.device) -> float:
    """Highest memory of the device so far, in GiB; 0 on a CPU."""
    return round(torch.cuda.max_memory_allocated(device) / 2**30, 2) if device.type == "cuda" else 0.0
