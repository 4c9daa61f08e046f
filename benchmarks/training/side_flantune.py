"""flantune's side: the real ``tune`` with packing in the background, clipping, metrics and checkpoints."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.training.counted import Counted
from benchmarks.training.lockstep import CHECKPOINT_EVERY, Turn
from benchmarks.training.world import MAX_INPUT_TOKENS, MAX_TARGET_TOKENS, ROW_TOKENS, World, build_world
from flantune.models.adapters import attach_adapter
from flantune.models.attention.lines import reads_lines
from flantune.models.language_model import LanguageModel
from flantune.packing.batches import Batches
from flantune.packing.stream import PromptStream
from flantune.settings.config import ModelSettings, PackingSettings, TrainingSettings
from flantune.training.loop import tune
from flantune.training.tuning_summary import TuningProgress


def main(settings: dict[str, Any]) -> None:
    """Takes steps until nobody asks for more."""
    turn = Turn()
    lm, batches = prepared(settings)
    turn.step(0)
    train(lm, batches, settings, progress=lambda _: turn.step(batches.tokens))


def prepared(settings: dict[str, Any]) -> tuple[LanguageModel, Counted]:
    """The model, with adapters if wanted, and its batches."""
    import torch

    torch.set_num_threads(settings["threads"])
    world = build_world(Path(settings["cache"]), scratch=settings["scratch"], device=settings["device"])
    lm = world.lm
    if "lora" in settings:
        model = ModelSettings.model_validate({"path": "made from scratch", "adapter": "lora", "lora": settings["lora"]})
        lm = attach_adapter(lm, model, seed=0)
    return lm, Counted(_batches(world, settings))


def train(
    lm: LanguageModel, batches: Counted, settings: dict[str, Any], *, progress: Callable[[TuningProgress], None]
) -> None:
    """Tunes until ``progress`` raises an exception or ends the process."""
    tune(
        lm,
        batches,
        TrainingSettings(
            steps=10_000,
            optimizer="adamw",
            learning_rate=1e-4,
            max_grad_norm=1.0,
            checkpoint_every=CHECKPOINT_EVERY,
            log_every=1,
            micro_batch_tokens=settings["micro_batch_tokens"],
            **settings.get("training", {}),
        ),
        folder=Path(tempfile.mkdtemp(dir=settings["cache"])),
        seed=0,
        fingerprint="benchmark",
        progress=progress,
    )


def _batches(world: World, settings: dict[str, Any]) -> Batches:
    packing = PackingSettings(
        max_input_tokens=MAX_INPUT_TOKENS,
        max_target_tokens=MAX_TARGET_TOKENS,
        row_tokens=settings.get("row_tokens", ROW_TOKENS),
        batch_tokens=settings["batch_tokens"],
    )
    tokens = settings["micro_batch_tokens"]
    stream = PromptStream(world.mixture, world.codec, row_tokens=packing.row_tokens)
    return Batches(stream, packing, micro_batch_tokens=tokens, is_padded=not reads_lines(world.lm))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
