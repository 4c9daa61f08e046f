"""Speed of the tuning step of a Llama-like model: flantune's ``tune`` against TRL's ``SFTTrainer`` at its best.

Both train the same model on the same token ids with AdamW, clipping, logs and checkpoints, one process and one thread
each, one optimizer step in turn. On a GPU: ``python -m benchmarks training_decoder_only --device cuda``.
"""

from __future__ import annotations

from typing import Any

from benchmarks.training.contest import contest

SMALL = {"architecture": "llama", "vocabulary_size": 8192, "hidden_size": 384, "layers": 6, "heads": 6}
LARGE = {"architecture": "llama", "vocabulary_size": 32_000, "hidden_size": 2048, "layers": 16, "heads": 16}
BATCH_TOKENS = 8192


def measure(device: str = "cpu") -> dict[str, Any] | None:
    """Races flantune, eager and compiled, against TRL."""
    if device == "cpu":
        sides = {**_flantune(2_048), "trl best": trl_best()}
    else:
        sides = {
            **_flantune(32_768, row_tokens=2048),
            "trl best": {**_trl(rows=16, accumulation=8), "attention": "flash_attention_2"},
        }
    return contest(
        sides,
        scratch=SMALL if device == "cpu" else LARGE,
        device=device,
        steps=6,
        warm_up=2,
        batch_tokens=BATCH_TOKENS if device == "cpu" else 65_536,
        needs=("trl",),
    )


def _flantune(micro_batch_tokens: int, **more: Any) -> dict[str, dict[str, Any]]:
    common = {"micro_batch_tokens": micro_batch_tokens, **more}
    return {"flantune": common, "flantune compiled": {**common, "training": {"compile": True}}}


def _trl(*, rows: int, accumulation: int) -> dict[str, dict[str, Any]]:
    return {
        "trl": {
            "packing": True,
            "per_device_train_batch_size": rows,
            "gradient_accumulation_steps": accumulation,
            # On by default there; off is faster.
            "gradient_checkpointing": False,
        }
    }


def trl_best() -> dict[str, dict[str, Any]]:
    """TRL's fastest way on a CPU: best-fit packing, one row at a time, since it masks a flattened batch as a whole."""
    return _trl(rows=1, accumulation=16)
