"""The cost model against runs: what ``--on here`` says before, and what the same run then takes.

Each run is estimated, made, and estimated again; the two estimates are averaged, since a machine shared with other work
changes its speed in between. The demo's models and deeper ones of both families, asked with options and for written
answers, and with exemplars. The goal: within 25%.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOLERANCE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A run file's changes.

    Attributes:
        name: What is tried.
        family: Which demo it is made from.
        changes: Settings over the demo's.
    """

    name: str
    family: str
    changes: tuple[str, ...] = ()


_ONE_FOLD = 'holdout.folds=[["natural language inference", "coreference", "reading comprehension"]]'
_SCRATCH = "{{architecture='{}', vocabulary_size=4096, hidden_size=256, layers={}, heads=8}}"
_WIDE = f"model={{{{scratch={_SCRATCH}, dtype='bfloat16'}}}}"

TRIALS = (
    Trial(name="demo, decoder-only", family="decoder_only"),
    Trial(name="demo, encoder-decoder", family="encoder_decoder"),
    Trial(name="llama, 12 layers", family="decoder_only", changes=(_WIDE.format("llama", 12), "training.steps=40")),
    Trial(name="t5, 8 + 8 layers", family="encoder_decoder", changes=(_WIDE.format("t5", 8), "training.steps=40")),
    Trial(name="demo, few-shot", family="decoder_only", changes=("evaluation.shots=[3]", "training.steps=20")),
)


def measure(*, small: bool = False) -> dict[str, object]:
    """What was estimated and what was taken, in seconds."""
    from flantune.system.waiting import wait_by_load

    wait_by_load()  # as the command does, before PyTorch is imported
    from flantune.demo.write import write_demo

    found: dict[str, Any] = {}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        world = write_demo(Path(name) / "world", seed=0)
        for trial in TRIALS[:1] if small else TRIALS:
            extra = ("training.steps=4", "evaluation.max_examples=4") if small else ()
            found[trial.name] = _compare(trial, world, Path(name) / trial.name.replace(" ", "-"), extra)
            print(json.dumps({trial.name: found[trial.name]}), flush=True)
    worst = max(abs(one["ratio"] - 1.0) for one in found.values())
    found_at = {"load_before": round(load, 2), "trials": found}
    return {**found_at, "worst": round(worst, 3), "is_right": small or worst <= TOLERANCE}


def _compare(trial: Trial, world: Path, folder: Path, extra: tuple[str, ...]) -> dict[str, object]:
    from flantune.commands.estimate import estimate_run
    from flantune.commands.run import run
    from flantune.settings.run_file import load_run_file

    file = load_run_file(world / f"{trial.family}.toml", overrides=(_ONE_FOLD, *trial.changes, *extra))
    before = estimate_run(file, cache=folder / "data", device="here")
    run(file, out=folder)
    after = estimate_run(file, cache=folder / "data", device="here")
    taken = json.loads((folder / "seconds.json").read_text(encoding="utf-8"))
    (tuned,) = folder.glob("folds/*/training.json")
    spent = {"tuning": json.loads(tuned.read_text(encoding="utf-8"))["seconds"], "measuring": taken["evaluation"]}
    estimated = {
        "tuning": (before.training.seconds + after.training.seconds) / 2,
        "measuring": (before.base + before.tuned + after.base + after.tuned).seconds / 2,
    }
    ratio = sum(estimated.values()) / sum(spent.values())
    parts = {f"ratio_{name}": round(estimated[name] / spent[name], 3) for name in spent}
    return {"estimated": _rounded(estimated), "taken": _rounded(spent), "ratio": round(ratio, 3), **parts}


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in values.items()}
