"""What tuning less than the whole model saves: a step with low-rank adapters or frozen layers beside a full one.

The model, the token ids and the settings are those of ``training_decoder_only``; each side is the real ``tune`` in a
process of its own with one thread, one optimizer step in turn. TRL's trainer with the same adapters stands beside them
where it is installed.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from benchmarks.training.contest import contest, world_cache
from benchmarks.training.tensor_memory import tensor_peak_mib
from benchmarks.training_decoder_only import BATCH_TOKENS, SMALL, trl_best

LORA = {"rank": 16, "alpha": 32.0}
FROZEN = ("embeddings", "head", f"layers.0-{SMALL['layers'] // 2 - 1}")  # type: ignore[operator]
FULL = "flantune"


def measure(*, small: bool = False) -> dict[str, Any] | None:
    """Races a full step, one with adapters on all layers, and one with the first half of the layers frozen."""
    passes, batch_tokens = {"micro_batch_tokens": 2_048}, 2_048 if small else BATCH_TOKENS
    sides: dict[str, dict[str, Any]] = {
        FULL: passes,
        "flantune lora": {**passes, "lora": LORA},
        "flantune frozen half": {**passes, "training": {"freeze": FROZEN}},
    }
    if find_spec("trl") and not small:
        sides["trl lora"] = {**trl_best(), "lora": LORA}
    found = contest(
        sides,
        scratch=SMALL,
        device="cpu",
        steps=2 if small else 6,
        warm_up=1 if small else 2,
        batch_tokens=batch_tokens,
        needs=("peft",),
    )
    if found is None:
        return None
    for name, figures in found["sides"].items():
        if name != FULL:
            # The floor is that of a full step.
            del figures["share_of_the_arithmetic_floor"]
    common = {"scratch": SMALL, "device": "cpu", "batch_tokens": batch_tokens, "threads": 1}
    with world_cache() as cache:
        for name, settings in sides.items():
            if name.startswith(FULL):
                found["sides"][name]["tensors_mib"] = tensor_peak_mib({**common, **settings, "cache": str(cache)})
    return {**found, "adapters": LORA, "frozen": FROZEN, "of_a_full_step": _shares(found["sides"])}


def _shares(sides: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Time a token and memory of each other way to tune with flantune, as shares of a full step's."""
    full = sides[FULL]
    return {
        name: {
            "time": round(full["useful_tokens_per_unit"] / figures["useful_tokens_per_unit"], 3),
            "time_over_all_steps": round(full["overall"] / figures["overall"], 3),
            "peak_memory": round(figures["peak_memory_mib"] / full["peak_memory_mib"], 3),
            "memory_since_the_start": round(_grown(figures) / _grown(full), 3),
            "tensors": round(figures["tensors_mib"] / full["tensors_mib"], 3),
        }
        for name, figures in sides.items()
        if name.startswith("flantune ")
    }


def _grown(figures: dict[str, Any]) -> float:
    """Memory that the process takes for tuning, beside libraries, data and the model itself in float32."""
    return float(figures["peak_memory_mib"] - figures["memory_at_the_start_mib"])
