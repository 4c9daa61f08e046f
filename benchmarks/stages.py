"""The whole line on real files, for both families: seconds a stage, prompts and tokens a second, fill, peak memory.

Needs a folder of real data beside the repository (see ``examples/real_files.toml``); without it, says so and skips.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RUNS = {"decoder-only": "examples/real_files.toml", "encoder-decoder": "examples/real_files_t5.toml"}


def measure() -> dict[str, Any] | None:
    """Runs both examples, each in a process of its own, and reads what they measured of themselves."""
    if not (ROOT / "../shared/data/hub").is_dir():
        print("skipped: no real data beside the repository (examples/real_files.toml names the folder)")
        return None
    with tempfile.TemporaryDirectory() as scratch:
        return {family: _run(ROOT / path, Path(scratch) / family) for family, path in RUNS.items()}


def _run(run_file: Path, out: Path) -> dict[str, Any]:
    program = "from flantune.cli.main import main; main()"
    subprocess.run([sys.executable, "-c", program, "run", str(run_file), "--out", str(out)], check=True)
    return summary(out)


def summary(out: Path) -> dict[str, Any]:
    """The figures of a finished run folder."""
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    folds = {}
    for path in sorted(out.glob("folds/*/training.json")):
        training = json.loads(path.read_text(encoding="utf-8"))
        counts, seconds = training["counts"], training["seconds"]
        folds[path.parent.name] = {
            "steps": training["steps"],
            "prompts": counts["prompts"],
            "prompts_per_second": round(counts["prompts"] / seconds, 1),
            "tokens_per_second": round(training["tokens_per_s"]),
            "target_tokens_per_second": round(counts["target_tokens"] / seconds),
            "fill": round(training["fill"], 4),
            "data_wait_share": round(training["data_wait_seconds"] / seconds, 4),
            "inputs_shortened": counts["inputs_shortened"],
            "prompts_dropped": counts["prompts_dropped"],
            "border_mismatch_share": training["border_mismatch_share"],
            "first_loss": round(training["first_loss"], 3),
            "final_loss": round(training["final_loss"], 3),
        }
    return {
        "seconds": manifest["seconds"],
        "peak_memory_mib": manifest["peak_memory_mib"],
        "folds": folds,
        "verdict": results["verdicts"]["tuned"]["text"],
    }
