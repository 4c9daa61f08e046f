"""Prompts made ahead beside Hugging Face ``datasets`` with TRL's preparation: prompts a second of one core.

flantune draws, renders, tokenizes, cuts and writes blocks. The other side is given the same prompts as finished text,
as ``flantune export data`` writes them: it maps them to prompt and completion, and ``SFTTrainer`` prepares them. So
what templates cost counts on flantune's side alone. Each side runs in a process of its own with one thread, in turn;
what starts a program (imports, reading tasks, opening files) does not count. Once, the least that ``datasets`` can do
is measured too: a tokenizer called on whole batches.

Needs TRL: ``pip install -r benchmarks/peers.txt``, into this environment or into another with flantune whose
interpreter ``FLANTUNE_PEERS_PYTHON`` names; and data in the mirror's form under ``../shared/data/hub`` or
``FLANTUNE_DATA``.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.peers import ALONE, data_folder, python_with, told_by

RUNS = {
    "causal, byte-level BPE": ("gpt2", ()),
    "T5-type, Unigram": ("t5", ()),
    "causal, three exemplars": ("gpt2", ("prompts.train_shots=[3]",)),
}
SIDES = ("flantune", "trl", "batches")
BLOCKS, ROUNDS = 1, 3


def measure(*, small: bool = False) -> dict[str, Any] | None:
    """All cases, each side in turn, medians of rounds."""
    data, python = data_folder(), python_with("trl")
    if data is None or python is None:
        print("passed over: needs TRL (see benchmarks/peers.txt) and real rows (FLANTUNE_DATA)")
        return None
    with tempfile.TemporaryDirectory() as scratch:
        return {
            "rows": [
                _measure(name, Path(scratch), data=data, python=python, blocks=1 if small else BLOCKS,
                         rounds=1 if small else ROUNDS)
                for name in RUNS
            ]
        }  # fmt: skip


def _measure(name: str, scratch: Path, *, data: Path, python: str, blocks: int, rounds: int) -> dict[str, Any]:
    architecture, overrides = RUNS[name]
    settings = {
        "data": str(data),
        "work": str(scratch / name.replace(" ", "-").replace(",", "")),
        "architecture": architecture,
        "overrides": list(overrides),
        "blocks": blocks,
    }
    _run(python, "setup", settings)
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for number in range(rounds):
        for side in SIDES if number == 0 else SIDES[:2]:
            found[side].append(_run(python, side, settings))
    speeds = {side: statistics.median(one["prompts"] / one["cpu_s"] for one in found[side]) for side in SIDES}
    first = {side: found[side][0] for side in SIDES}
    microseconds = first["flantune"]["microseconds"]
    packed = microseconds["made"] + microseconds["batch_prepared"]
    return {
        "case": name,
        "prompts": first["flantune"]["prompts"],
        "mean_tokens": first["flantune"]["mean_tokens"],
        "prompts_per_cpu_second": {side: round(speed) for side, speed in speeds.items()},
        "times_trl": round(speeds["flantune"] / speeds["trl"], 2),
        # Rows to packs, against the other side's rows to ids.
        "times_trl_with_packs": round(1e6 / packed / speeds["trl"], 2),
        "times_batches": round(speeds["flantune"] / speeds["batches"], 2),
        "share_of_same_ids": first["trl"]["same_ids"],
        "microseconds_a_prompt": microseconds,
        "bytes_a_prompt": first["flantune"]["bytes_a_prompt"],
    }


def _run(python: str, side: str, settings: dict[str, Any]) -> dict[str, Any]:
    quiet = {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}
    command = [python, "-m", "benchmarks.preparation_side", side, json.dumps(settings)]
    told: dict[str, Any] = told_by(*command, environment=ALONE | quiet)
    return told
