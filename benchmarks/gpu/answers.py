"""Answers written by flantune and by transformers' ``generate``: the same model in bfloat16, prompts and budget."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.made_up import LARGE, TINY, model, requests
from benchmarks.gpu.timing import Task, peak_gib, seconds
from flantune.models.language_model import LanguageModel
from flantune.models.writing.check import writing_method
from flantune.models.writing.decoding import Decoding
from flantune.models.writing.generate import write

BUDGET = 65_536
CASES = {"mixed lengths": (128, 0, 1), "shared start": (128, 400, 1), "eight samples": (16, 0, 8)}


def measure(task: Task) -> dict[str, Any]:
    """Seconds of each side by case, the ratio, and the share of greedy answers that are the same."""
    architecture = task.settings["architecture"]
    lm = model((TINY if task.is_small else LARGE)[architecture], task.device, dtype="bfloat16")
    found: dict[str, Any] = {"method": str(writing_method(lm))}
    for name, (count, shared, samples) in CASES.items():
        if architecture == "t5" and name != "mixed lengths":
            continue
        units = requests(len(lm.tokenizer), max(2, count // 32) if task.is_small else count, shared=shared)
        found[name] = _case(lm, [unit.inputs for unit in units], samples, task)
    return {**found, "peak_gib": peak_gib(task.device)}


def _case(lm: LanguageModel, inputs: list[Any], samples: int, task: Task) -> dict[str, Any]:
    new = 8 if task.is_small else 64
    ours: dict[int, list[int]] = {}
    theirs: dict[int, list[int]] = {}
    rounds = 1 if task.is_small else 2
    mine = seconds(task.device, lambda: ours.update(_ours(lm, inputs, samples, new)), rounds=rounds)
    # The peer's weights are bfloat16, as a user of it would load them; flantune rounds its own as it goes.
    weights = {name: value.clone() for name, value in lm.model.state_dict().items()}
    lm.model.bfloat16()
    peer = seconds(task.device, lambda: theirs.update(_theirs(lm, inputs, samples, new)), rounds=rounds)
    lm.model.float().load_state_dict(weights)
    row: dict[str, Any] = {
        "flantune_s": round(mine, 3),
        "transformers_s": round(peer, 3),
        "ratio": round(peer / mine, 2),
    }
    if samples == 1:
        row["same_answers"] = round(statistics.mean(theirs[at] == tokens for at, tokens in ours.items()), 3)
    return row


def _ours(lm: LanguageModel, inputs: list[Any], samples: int, new: int) -> dict[int, list[int]]:
    decoding = Decoding(max_new_tokens=new, temperature=1.0 if samples > 1 else 0.0)
    found = write(lm, inputs, decoding, samples=samples, batch_tokens=BUDGET)
    return {one.index * samples + one.sample: list(one.tokens) for one in found}


def _theirs(lm: LanguageModel, inputs: list[Any], samples: int, new: int) -> dict[int, list[int]]:
    """Prompts sorted by length, padded on the left, in batches of the same budget."""
    from transformers import GenerationConfig

    order = sorted(range(len(inputs)), key=lambda at: -len(inputs[at]))
    found: dict[int, list[int]] = {}
    model: Any = lm.model
    config: Any = GenerationConfig
    end = lm.tokenizer.eos_token_id
    while order:
        width = len(inputs[order[0]])
        rows = max(1, BUDGET // ((width + new) * samples))
        batch, order = order[:rows], order[rows:]
        tokens, mask = (np.zeros((len(batch), width), dtype=np.int64) for _ in range(2))
        for row, at in enumerate(batch):
            size = len(inputs[at])
            place = slice(width - size, width) if lm.family == "decoder-only" else slice(size)
            tokens[row, place], mask[row, place] = inputs[at], 1
        with torch.no_grad():
            outputs = model.generate(
                input_ids=torch.from_numpy(tokens).to(lm.device),
                attention_mask=torch.from_numpy(mask).to(lm.device),
                generation_config=config(
                    do_sample=samples > 1, num_return_sequences=samples, top_k=0, max_new_tokens=new, pad_token_id=0,
                    eos_token_id=end, num_beams=1,
                    decoder_start_token_id=getattr(model.config, "decoder_start_token_id", None),
                ),
            )  # fmt: skip
        start = width if lm.family == "decoder-only" else 1
        for row, written in enumerate(outputs[:, start:].tolist()):
            answer = written[: written.index(end)] if end in written else written
            found[batch[row // samples] * samples + row % samples] = answer
    return found
