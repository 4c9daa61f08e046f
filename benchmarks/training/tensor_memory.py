"""The tensors of flantune's side: how many bytes of them are in memory at most, above those of the model itself.

The memory of the process is larger, since the allocator keeps pieces of freed tensors between others.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from typing import Any

import torch

from benchmarks.training.side_flantune import prepared, train

STEPS = 2
"""The second has optimizer state and gradients beside it."""


def tensor_peak_mib(settings: dict[str, Any]) -> float:
    """The peak over two steps of a process of its own, on a CPU, in MiB."""
    command = [sys.executable, "-m", "benchmarks.training.tensor_memory", json.dumps(settings)]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return round(float(found.stdout.split()[-1]), 1)


def main(settings: dict[str, Any]) -> None:
    """Prints the peak in MiB."""
    lm, batches = prepared(settings)
    taken = 0

    def stop(_: object) -> None:
        nonlocal taken
        taken += 1
        if taken == STEPS:
            sys.exit()

    profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True)
    with profiler as profile, suppress(SystemExit):
        train(lm, batches, settings, progress=stop)
    changes = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = most = 0
    for event in sorted(changes, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    print(most / 2**20)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
