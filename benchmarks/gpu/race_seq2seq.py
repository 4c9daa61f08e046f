"""The side of transformers' ``Seq2SeqTrainer`` in a race of encoder-decoders."""

from __future__ import annotations

import tempfile
from typing import Any

import torch

from benchmarks.gpu.made_up import model
from benchmarks.gpu.racing import Watch, arguments, rows_of, shape_of, taking_time
from benchmarks.gpu.timing import Task


def measure(task: Task) -> dict[str, Any]:
    """Useful tokens a second of some optimizer steps; with length grouping, of those of all lengths ("overall")."""
    from datasets import Dataset
    from transformers import DataCollatorForSeq2Seq, Seq2SeqTrainer, Seq2SeqTrainingArguments

    lm = model(shape_of(task), task.device)
    collate = DataCollatorForSeq2Seq(lm.tokenizer, model=lm.model)
    rows = rows_of(task)
    # Added up on the device, so that nothing waits for it between passes.
    seen = torch.zeros((), dtype=torch.long, device=task.device)

    class Counting(Seq2SeqTrainer):  # type: ignore[misc]
        """Counts in the main process what the model is given."""

        def training_step(self, model: Any, inputs: Any, *more: Any, **named: Any) -> Any:
            seen.add_(inputs["attention_mask"].sum()).add_((inputs["labels"] != -100).sum())
            return super().training_step(model, inputs, *more, **named)

    watch = Watch(task=task, tokens=lambda: int(seen))
    more = {"train_sampling_strategy": "group_by_length"} if task.settings.get("grouped") else {}
    with tempfile.TemporaryDirectory() as folder:
        own = arguments(task, folder)
        # About as many useful tokens a step, of 145 a prompt.
        own["per_device_train_batch_size"], own["gradient_accumulation_steps"] = (4, 3) if task.is_small else (64, 7)
        Counting(
            model=lm.model,
            args=Seq2SeqTrainingArguments(**own, **more),
            train_dataset=Dataset.from_list(rows),
            data_collator=collate,
            processing_class=lm.tokenizer,
            callbacks=[taking_time(watch)],
        ).train()
    return watch.figures()
