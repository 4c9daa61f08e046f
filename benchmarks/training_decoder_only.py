"""Speed of the tuning step of a Llama-like model: flantune's ``tune`` against TRL's ``SFTTrainer`` at its best.

Both train the same model on the same token ids with AdamW, clipping, logs and checkpoints, one process and one thread
each, one optimizer step in turn. On a GPU: ``python -m benchmarks.training_decoder_only --device cuda``.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from benchmarks.training.contest import contest

SMALL = {"architecture": "llama", "vocabulary_size": 8192, "hidden_size": 384, "layers": 6, "heads": 6}
LARGE = {"architecture": "llama", "vocabulary_size": 32_000, "hidden_size": 2048, "layers": 16, "heads": 16}
BATCH_TOKENS = 8192


def measure(device: str = "cpu", *, steps: int = 6, with_all: bool = False) -> dict[str, Any] | None:
    """Races flantune, eager and compiled, against TRL; with ``with_all``, also TRL's other settings."""
    if device == "cpu":
        sides = {**_flantune(2_048), "trl best": trl_best()}
        if with_all:
            sides |= {
                "trl, four rows flattened": _with(batch=4, accumulation=4, packing=True),
                "trl, unpacked": _with(batch=8, accumulation=7, packing=False),
            }
    else:
        attention = {"attention": "flash_attention_2"}
        sides = {
            **_flantune(32_768, row_tokens=2048),
            **{name: {**found, **attention} for name, found in _trl(rows=16, accumulation=8).items()},
        }
    return contest(
        sides,
        scratch=SMALL if device == "cpu" else LARGE,
        device=device,
        steps=steps,
        warm_up=2,
        batch_tokens=BATCH_TOKENS if device == "cpu" else 65_536,
        needs=("trl",),
    )


def _flantune(micro_batch_tokens: int, **more: Any) -> dict[str, dict[str, Any]]:
    common = {"micro_batch_tokens": micro_batch_tokens, **more}
    return {"flantune": common, "flantune compiled": {**common, "training": {"compile": True}}}


def _trl(*, rows: int, accumulation: int) -> dict[str, dict[str, Any]]:
    """Best-fit packing; on a CPU one row at a time is its fastest, since it masks the flattened batch as a whole."""
    return {"trl best": _with(batch=rows, accumulation=accumulation, packing=True)}


def trl_best() -> dict[str, Any]:
    """The settings of TRL's fastest way on a CPU."""
    return _trl(rows=1, accumulation=16)["trl best"]


def _with(*, batch: int, accumulation: int, packing: bool) -> dict[str, Any]:
    return {
        "trl": {
            "packing": packing,
            "per_device_train_batch_size": batch,
            "gradient_accumulation_steps": accumulation,
            # On by default there; off is faster.
            "gradient_checkpointing": False,
        }
    }


def main() -> None:
    """Measures on the device named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--all", action="store_true", help="TRL's other settings too")
    given = parser.parse_args()
    print(json.dumps(measure(given.device, steps=given.steps, with_all=given.all), indent=1))


if __name__ == "__main__":
    main()
