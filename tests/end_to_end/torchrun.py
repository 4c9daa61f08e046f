"""`torchrun` on this machine, as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def command(processes: int, *arguments: str) -> list[str]:
    own = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [*own, "-m", "flantune", *arguments]


def start(processes: int, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(processes, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
    )
