"""What the machine is and can do: names, versions, the rate of matrix products, and the kernel for segments."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from benchmarks.gpu.timing import Task
from benchmarks.training.floor import rates

PACKAGES = ("torch", "transformers", "trl", "lm_eval", "accelerate", "datasets", "flash_attn")


def measure(task: Task) -> dict[str, Any]:
    """The machine in numbers; whether attention has its kernel there, and if not, why."""
    from flantune.models.attention.door import why_not_program

    found: dict[str, Any] = {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "cores": len(os.sched_getaffinity(0)),
        "rates": rates(task.device.type, threads=len(os.sched_getaffinity(0))),
        "why_no_attention_kernel": why_not_program(torch.bfloat16, task.device.type),
    }
    if task.device.type == "cuda":
        facts = torch.cuda.get_device_properties(task.device)
        found |= {"device": facts.name, "memory_gib": round(facts.total_memory / 2**30, 1)}
        found |= {"capability": f"{facts.major}.{facts.minor}", "cuda": torch.version.cuda}
    return found


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
