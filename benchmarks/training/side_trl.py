"""TRL's side: ``SFTTrainer`` on the same token ids, completion-only labels, with its own packing, clipping and logs."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.training.lockstep import CHECKPOINT_EVERY, Turn
from benchmarks.training.world import ROW_TOKENS, build_world

PROMPTS = 6_000


def main(settings: dict[str, Any]) -> None:
    """Trains until nobody asks for more steps."""
    import torch
    from datasets import Dataset, disable_progress_bars
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    turn = Turn()
    torch.set_num_threads(settings["threads"])
    disable_progress_bars()
    world = build_world(Path(settings["cache"]), scratch=settings["scratch"], device=settings["device"])
    if settings.get("attention"):
        world.lm.model.set_attn_implementation(settings["attention"])
    rows = [
        {
            "input_ids": [*map(int, p.inputs), *map(int, p.targets[0])],
            "labels": [-100] * len(p.inputs) + [*map(int, p.targets[0])],
        }
        for p in world.encoded(settings.get("prompts", PROMPTS))
    ]

    class Lockstep(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            turn.step(0)

        def on_step_end(self, *_: Any, **__: Any) -> None:
            turn.step(int(trainer._total_train_tokens))

    config = SFTConfig(
        output_dir=tempfile.mkdtemp(dir=settings["cache"]),
        max_length=ROW_TOKENS,
        bf16=True,
        max_steps=10_000,
        learning_rate=1e-4,
        lr_scheduler_type="constant",
        max_grad_norm=1.0,
        logging_steps=1,
        save_steps=CHECKPOINT_EVERY,
        save_total_limit=1,
        report_to=[],
        disable_tqdm=True,
        use_cpu=settings["device"] == "cpu",
        dataloader_pin_memory=settings["device"] != "cpu",
        **settings["trl"],
    )
    trainer = SFTTrainer(
        model=world.lm.model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=world.lm.tokenizer,
        callbacks=[Lockstep()],
    )
    trainer.train()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
