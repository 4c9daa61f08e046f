"""TRL's side: ``SFTTrainer`` on the same token ids, completion-only labels, with its own packing, clipping and logs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.training.lockstep import Turn
from benchmarks.training.trainers import PROMPTS, arguments, taking_turns
from benchmarks.training.world import ROW_TOKENS, build_world


def main(settings: dict[str, Any]) -> None:
    """Trains until nobody asks for more steps."""
    import torch
    from datasets import Dataset, disable_progress_bars
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

    more = {}
    if lora := settings.get("lora"):
        from peft import LoraConfig

        more["peft_config"] = LoraConfig(
            task_type="CAUSAL_LM", target_modules="all-linear", r=lora["rank"], lora_alpha=lora["alpha"]
        )
    config = SFTConfig(max_length=ROW_TOKENS, **arguments(settings, own="trl"))
    trainer = SFTTrainer(
        model=world.lm.model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=world.lm.tokenizer,
        **more,
        callbacks=[taking_turns(turn, lambda: int(trainer._total_train_tokens))],
    )
    trainer.train()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
