"""The Seq2SeqTrainer's side: transformers' own trainer for encoder-decoders, on the same token ids."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.training.lockstep import Turn
from benchmarks.training.trainers import PROMPTS, arguments, taking_turns
from benchmarks.training.world import build_world


def main(settings: dict[str, Any]) -> None:
    """Trains until nobody asks for more steps."""
    import torch
    from datasets import Dataset
    from transformers import DataCollatorForSeq2Seq, Seq2SeqTrainer, Seq2SeqTrainingArguments

    turn = Turn()
    torch.set_num_threads(settings["threads"])
    world = build_world(Path(settings["cache"]), scratch=settings["scratch"], device=settings["device"])
    rows = [
        {"input_ids": [*map(int, p.inputs)], "labels": [*map(int, p.targets[0])]}
        for p in world.encoded(settings.get("prompts", PROMPTS))
    ]
    collate = DataCollatorForSeq2Seq(world.lm.tokenizer, model=world.lm.model)
    seen = {"tokens": 0}

    def counted(examples: list[dict[str, Any]]) -> Any:
        seen["tokens"] += sum(len(row["input_ids"]) + len(row["labels"]) for row in examples)
        return collate(examples)

    config = Seq2SeqTrainingArguments(**arguments(settings, own="seq2seq"))
    trainer = Seq2SeqTrainer(
        model=world.lm.model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        data_collator=counted,
        processing_class=world.lm.tokenizer,
        callbacks=[taking_turns(turn, lambda: seen["tokens"])],
    )
    trainer.train()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
