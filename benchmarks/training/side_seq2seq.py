"""The Seq2SeqTrainer's side: transformers' own trainer for encoder-decoders, on the same token ids."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.training.lockstep import CHECKPOINT_EVERY, Turn
from benchmarks.training.world import build_world

PROMPTS = 6_000


def main(settings: dict[str, Any]) -> None:
    """Trains until nobody asks for more steps."""
    import torch
    from datasets import Dataset
    from transformers import DataCollatorForSeq2Seq, Seq2SeqTrainer, Seq2SeqTrainingArguments, TrainerCallback

    turn = Turn()
    torch.set_num_threads(settings["threads"])
    world = build_world(Path(settings["cache"]), scratch=settings["scratch"], device=settings["device"])
    rows = [
        {"input_ids": [*map(int, p.inputs)], "labels": [*map(int, p.targets[0])]}
        for p in world.encoded(settings.get("prompts", PROMPTS))
    ]
    collate = DataCollatorForSeq2Seq(world.lm.tokenizer, model=world.lm.model)
    seen = {"tokens": 0, "positions": 0}

    def counted(examples: list[dict[str, Any]]) -> Any:
        seen["tokens"] += sum(len(row["input_ids"]) + len(row["labels"]) for row in examples)
        return collate(examples)

    class Lockstep(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            turn.step(0)

        def on_step_end(self, *_: Any, **__: Any) -> None:
            turn.step(seen["tokens"])

    config = Seq2SeqTrainingArguments(
        output_dir=tempfile.mkdtemp(dir=settings["cache"]),
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
        **settings["seq2seq"],
    )
    trainer = Seq2SeqTrainer(
        model=world.lm.model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        data_collator=counted,
        processing_class=world.lm.tokenizer,
        callbacks=[Lockstep()],
    )
    trainer.train()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
