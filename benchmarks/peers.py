"""What benchmarks beside other programs share: where real rows lie, whose Python has the others, how a side is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LIMITS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
ALONE = {**LIMITS, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
"""One thread, and no network."""


def data_folder() -> Path | None:
    """Real rows in the mirror's form: ``FLANTUNE_DATA``, or ``../shared/data/hub``; None where there are none."""
    folder = Path(os.environ.get("FLANTUNE_DATA") or ROOT / "../shared/data/hub")
    return folder.resolve() if folder.is_dir() else None


def python_with(*modules: str) -> str | None:
    """This interpreter, or that of ``FLANTUNE_PEERS_PYTHON``, where the modules can be imported."""
    python = os.environ.get("FLANTUNE_PEERS_PYTHON", sys.executable)
    tried = subprocess.run([python, "-c", f"import {', '.join(modules)}"], capture_output=True, check=False)
    return None if tried.returncode else python


def told_by(*command: str, environment: Mapping[str, str] = ALONE) -> Any:
    """Runs a program with these settings besides its own; what its last line says, as JSON."""
    done = subprocess.run(
        command, env=os.environ | environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])
