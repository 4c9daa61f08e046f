"""What ``whole_job`` asks of the Python that has TRL and lm-eval: to train, or to find lm-eval's fastest batch size."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

ROW_TOKENS = 512
MAX_INPUT_TOKENS, MAX_TARGET_TOKENS = 448, 256
BATCH_SIZES = (2, 4, 8, 16)
_BATCH = 8


def sft(settings: dict[str, Any]) -> Any:
    """``SFTTrainer`` with best-fit packing, a row a pass, sixteen accumulated, no checkpointing: its fastest here."""
    from trl import SFTConfig, SFTTrainer

    config = SFTConfig(
        max_length=ROW_TOKENS,
        packing=True,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=16,
        gradient_checkpointing=False,
        **_arguments(settings),
    )
    return SFTTrainer(model=settings["model"], args=config, train_dataset=_text(settings))


def seq2seq(settings: dict[str, Any]) -> Any:
    """``Seq2SeqTrainer`` with batches of like length, which is fastest, and as many steps as flantune."""
    from transformers import (
        AutoModelForSeq2SeqLM,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        Seq2SeqTrainer,
        Seq2SeqTrainingArguments,
    )

    tokenizer = AutoTokenizer.from_pretrained(settings["model"])
    model = AutoModelForSeq2SeqLM.from_pretrained(settings["model"])

    def encode(rows: dict[str, list[str]]) -> dict[str, Any]:
        end = [tokenizer.eos_token_id]
        inputs = tokenizer(rows["prompt"], truncation=True, max_length=MAX_INPUT_TOKENS - 1)["input_ids"]
        # What stands between prompt and completion is for models that read both as one text.
        completions = [text.lstrip() for text in rows["completion"]]
        targets = tokenizer(completions, truncation=True, max_length=MAX_TARGET_TOKENS - 1)["input_ids"]
        return {"input_ids": [ids + end for ids in inputs], "labels": [ids + end for ids in targets]}

    text = _text(settings)
    return Seq2SeqTrainer(
        model=model,
        args=Seq2SeqTrainingArguments(
            per_device_train_batch_size=_BATCH,
            gradient_accumulation_steps=math.ceil(settings["prompts_a_step"] / _BATCH),
            train_sampling_strategy="group_by_length",
            **_arguments(settings),
        ),
        train_dataset=text.map(encode, batched=True, remove_columns=text.column_names),
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=model),
        processing_class=tokenizer,
    )


def train(settings: dict[str, Any]) -> None:
    """One pass over the text; the model, and what training came to, in the folder ``out``."""
    made = (sft if settings["family"] == "decoder-only" else seq2seq)(settings)
    done = made.train()
    made.save_model(settings["out"])
    losses = [entry["loss"] for entry in made.state.log_history if "loss" in entry]
    told = {
        "weights": sum(weight.numel() for weight in made.model.parameters()),
        "steps": done.global_step,
        "final_loss": round(losses[-1], 3),
    }
    Path(settings["out"], "trained.json").write_text(json.dumps(told), encoding="utf-8")


def _arguments(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "output_dir": f"{settings['out']}-checkpoints",
        "bf16": settings["bf16"],
        "num_train_epochs": 1,
        "learning_rate": 1e-3,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 1.0,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        "dataloader_pin_memory": False,
    }


def _text(settings: dict[str, Any]) -> Any:
    from datasets import load_dataset

    return load_dataset("json", data_files=settings["text"], split="train")


def fastest_batch_size(settings: dict[str, Any]) -> int:
    """lm-eval's, on two rows of every task file."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    lm = HFLM(pretrained=settings["model"], dtype=settings["dtype"], device="cpu", max_length=settings["max_length"])
    manager = TaskManager(include_path=settings["tasks"])
    spent = {}
    for size in (BATCH_SIZES[0], *BATCH_SIZES):
        lm.batch_size_per_gpu = size
        began = time.process_time()
        simple_evaluate(model=lm, tasks=["whole_job"], task_manager=manager, limit=2, bootstrap_iters=0)
        spent[size] = time.process_time() - began
    return min(spent, key=lambda size: spent[size])


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    if "text" in told:
        train(told)
    else:
        print(fastest_batch_size(told))
