"""Available and used memory, and errors that mean it ran out."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from flantune.system.memory import peak_bytes


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on an accelerator or the machine; the latter PyTorch tells as text.

    >>> is_out_of_memory(RuntimeError("can't allocate memory")), is_out_of_memory(RuntimeError("something else"))
    (True, False)
    """
    is_one = isinstance(error, torch.OutOfMemoryError | MemoryError)
    text = str(error).lower()
    return is_one or (isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text))


def available_memory_bytes() -> int:
    """Memory that this process may still allocate: what the machine has free, or its container's limit if lower."""
    free = _free_bytes() or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit, used = (_number(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    return free if limit is None or used is None else min(free, max(0, limit - used))


def _free_bytes() -> int:
    try:
        with Path("/proc/meminfo").open(encoding="ascii") as lines:
            return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)
    except OSError:
        return 0


def _number(path: str) -> int | None:
    try:
        text = Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def peak_memory_bytes(device: torch.device) -> int:
    """Peak memory so far: of the accelerator, or of this process if it runs on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_bytes()
