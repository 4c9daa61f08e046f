"""Answers written by flantune and by transformers' ``generate``: the same model in bfloat16, prompts and budget."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.generation import ours, theirs
from benchmarks.gpu.made_up import LARGE, TINY, model, requests
from benchmarks.gpu.timing import Task, peak_gib, seconds
from flantune.models.language_model import LanguageModel
from flantune.models.writing.check import writing_method

BUDGET = 65_536
CASES = {"mixed lengths": (128, 0, 1), "shared start": (128, 400, 1), "eight samples": (16, 0, 8)}


def measure(task: Task) -> dict[str, Any]:
    """Seconds of each side by case, the ratio, and the share of greedy answers that are the same."""
    architecture = task.settings["architecture"]
    lm = model((TINY if task.is_small else LARGE)[architecture], task.device, dtype="bfloat16")
    found: dict[str, Any] = {"method": str(writing_method(lm))}
    for name, (count, shared, samples) in CASES.items():
        if architecture == "t5" and name != "mixed lengths":
            continue
        units = requests(len(lm.tokenizer), max(2, count // 32) if task.is_small else count, shared=shared)
        found[name] = _case(lm, [unit.inputs for unit in units], samples, task)
    return {**found, "peak_gib": peak_gib(task.device)}


def _case(lm: LanguageModel, inputs: list[Any], samples: int, task: Task) -> dict[str, Any]:
    own: dict[int, list[int]] = {}
    their: dict[int, list[int]] = {}
    asked = {"new": 8 if task.is_small else 64, "budget": BUDGET}
    rounds = 1 if task.is_small else 2
    mine = seconds(task.device, lambda: own.update(ours(lm, inputs, samples, **asked)), rounds=rounds)
    # The peer's weights are bfloat16, as a user of it would load them; flantune rounds its own as it goes.
    weights = {name: value.clone() for name, value in lm.model.state_dict().items()}
    lm.model.bfloat16()
    peer = seconds(task.device, lambda: their.update(theirs(lm, inputs, samples, **asked)), rounds=rounds)
    lm.model.float().load_state_dict(weights)
    row: dict[str, Any] = {
        "flantune_s": round(mine, 3),
        "transformers_s": round(peer, 3),
        "ratio": round(peer / mine, 2),
    }
    if samples == 1:
        row["same_answers"] = round(statistics.mean(their[at] == tokens for at, tokens in own.items()), 3)
    return row
