"""Speed of the tuning step of a T5-like model: flantune's ``tune`` against transformers' ``Seq2SeqTrainer``.

Both train the same model on the same token ids with AdamW, clipping, logs and checkpoints, one process and one thread
each, one optimizer step in turn. On a GPU: ``python -m benchmarks training_encoder_decoder --device cuda``.

With length grouping, Seq2SeqTrainer sorts stretches of fifty batches by length, the longest first: its speed is the
one over whole stretches ("overall"), and how good it is depends on the size of the dataset. A small one, whose
stretches are short, is measured too.
"""

from __future__ import annotations

from typing import Any

from benchmarks.training.contest import contest

SMALL = {"architecture": "t5", "vocabulary_size": 8192, "hidden_size": 384, "layers": 4, "heads": 6}
LARGE = {"architecture": "t5", "vocabulary_size": 32_000, "hidden_size": 1024, "layers": 24, "heads": 16}
GROUPED = {"train_sampling_strategy": "group_by_length"}
SMALL_DATA_PROMPTS = 192


def measure(device: str = "cpu") -> dict[str, Any] | None:
    """Races flantune, eager and compiled, against Seq2SeqTrainer, plain and with length grouping."""
    batch, accumulation = (8, 8) if device == "cpu" else (64, 8)
    plain = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}
    ours = {"micro_batch_tokens": 4_096 if device == "cpu" else 32_768}
    return contest(
        {
            "flantune": ours,
            "flantune compiled": {**ours, "training": {"compile": True}},
            "seq2seq plain": {"seq2seq": plain},
            "seq2seq grouped": {"seq2seq": {**plain, **GROUPED}},
            "seq2seq grouped, small data": {"seq2seq": {**plain, **GROUPED}, "prompts": SMALL_DATA_PROMPTS},
        },
        scratch=SMALL if device == "cpu" else LARGE,
        device=device,
        steps=12,
        warm_up=2,
        batch_tokens=8192 if device == "cpu" else 65_536,
        needs=("datasets", "accelerate"),
    )
