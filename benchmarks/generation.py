"""Greedy answers and samples: flantune's loop against transformers' generate on the same model, prompts and budget.

CPU seconds of one thread, alternating, medians. The peer gets its best use: prompts sorted by length, left-padded,
batches of the same token budget. The random models' end of sequence is made likely, so that answers differ in length as
those of a tuned model do.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig

from flantune.models.scratch import build_model, train_tokenizer
from flantune.models.writing.decoding import Decoding
from flantune.models.writing.generate import write
from flantune.settings.config import ScratchSettings

Answers = dict[int, list[int]]
Write = Callable[[Any, Sequence[np.ndarray], int], Answers]

ROUNDS, NEW_TOKENS, BUDGET = 3, 64, 8_192


def measure(*, small: bool = False) -> dict[str, Any]:
    """CPU seconds and their ratio by scenario, and the share of greedy answers that are the same token by token."""
    torch.set_num_threads(1)
    rounds, prompts = (1, 12) if small else (ROUNDS, 96)
    found: dict[str, Any] = {}
    for name, architecture, shared, samples in (
        ("decoder-only, mixed lengths", "llama", 0, 1),
        ("decoder-only, five-shot prefix", "llama", 400, 1),
        ("decoder-only, eight samples", "llama", 0, 8),
        ("encoder-decoder, mixed lengths", "t5", 0, 1),
    ):
        lm = _model(architecture)
        inputs = _inputs(lm, prompts // samples, shared)
        _often_ending(lm, inputs)
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            ours = _timed(_ours, lm, inputs, samples, times[0])
            theirs = _timed(_theirs, lm, inputs, samples, times[1])
        found[name] = _row(times, ours, theirs, is_greedy=samples == 1)
        print(name, found[name], flush=True)
    return {"max_new_tokens": NEW_TOKENS, "batch_tokens": BUDGET, "prompts": prompts, "scenarios": found}


def _row(
    times: tuple[list[float], list[float]],
    ours: Answers,
    theirs: Answers,
    *,
    is_greedy: bool,
) -> dict[str, Any]:
    mine, peer = (statistics.median(each) for each in times)
    lengths = [len(tokens) for tokens in ours.values()]
    row: dict[str, Any] = {
        "flantune_cpu_seconds": round(mine, 2),
        "transformers_cpu_seconds": round(peer, 2),
        "ratio": round(peer / mine, 2),
        "mean_answer_tokens": round(statistics.mean(lengths), 1),
    }
    if is_greedy:
        row["same_answers"] = round(statistics.mean(theirs[at] == tokens for at, tokens in ours.items()), 4)
    return row


def _model(architecture: str) -> Any:
    tokenizer = train_tokenizer([f"word{n} other{n * 7}" for n in range(4_000)], 4_096)
    scratch = ScratchSettings(architecture=architecture, hidden_size=256, layers=4, heads=4)  # type: ignore[arg-type]
    lm = build_model(scratch, tokenizer, seed=1)
    for name, weight in lm.model.named_parameters():
        if weight.ndim > 1 and "layer_norm" not in name:
            weight.data.mul_(3.0 if lm.family == "decoder-only" else 1.5)
    return lm


def _inputs(lm: Any, count: int, shared: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shown = rng.integers(10, len(lm.tokenizer), shared)
    lengths = np.clip(rng.lognormal(4.2, 0.6, count), 16, 300).astype(int)
    return [np.concatenate([shown, rng.integers(10, len(lm.tokenizer), n)]).astype(np.int32) for n in lengths]


def _often_ending(lm: Any, inputs: Sequence[np.ndarray]) -> None:
    """Makes the end of sequence likely enough that a mean answer fills about a third of its room."""
    weight = lm.model.get_output_embeddings().weight
    for _ in range(24):
        lengths = [len(tokens) for tokens in _ours(lm, inputs[::6], 1).values()]
        if statistics.mean(lengths) <= NEW_TOKENS / 3:
            return
        with torch.no_grad():
            weight[lm.tokenizer.eos_token_id] *= 1.15


def _ours(lm: Any, inputs: Sequence[np.ndarray], samples: int) -> Answers:
    return ours(lm, inputs, samples, new=NEW_TOKENS, budget=BUDGET)


def _theirs(lm: Any, inputs: Sequence[np.ndarray], samples: int) -> Answers:
    return theirs(lm, inputs, samples, new=NEW_TOKENS, budget=BUDGET)


def ours(lm: Any, inputs: Sequence[np.ndarray], samples: int, *, new: int, budget: int) -> Answers:
    """Number of an answer → its tokens, written by flantune."""
    decoding = Decoding(max_new_tokens=new, temperature=1.0 if samples > 1 else 0.0)
    found = write(lm, inputs, decoding, samples=samples, batch_tokens=budget)
    return {one.index * samples + one.sample: list(one.tokens) for one in found}


def theirs(lm: Any, inputs: Sequence[np.ndarray], samples: int, *, new: int, budget: int) -> Answers:
    """The same by ``generate``: prompts sorted by length, padded on the left, in batches of the same budget."""
    order = sorted(range(len(inputs)), key=lambda at: -len(inputs[at]))
    found: Answers = {}
    config: Any = GenerationConfig
    end = lm.tokenizer.eos_token_id
    while order:
        width = len(inputs[order[0]])
        rows = max(1, budget // ((width + new) * samples))
        batch, order = order[:rows], order[rows:]
        tokens, mask = (np.zeros((len(batch), width), dtype=np.int64) for _ in range(2))
        for row, at in enumerate(batch):
            place = slice(width - len(inputs[at]), width) if lm.family == "decoder-only" else slice(len(inputs[at]))
            tokens[row, place], mask[row, place] = inputs[at], 1
        with torch.no_grad():
            outputs = lm.model.generate(
                input_ids=torch.from_numpy(tokens).to(lm.device),
                attention_mask=torch.from_numpy(mask).to(lm.device),
                generation_config=config(
                    do_sample=samples > 1, num_return_sequences=samples, top_k=0, max_new_tokens=new, pad_token_id=0,
                    eos_token_id=end, num_beams=1,
                    decoder_start_token_id=getattr(lm.model.config, "decoder_start_token_id", None),
                ),
            )  # fmt: skip
        start = width if lm.family == "decoder-only" else 1
        for row, written in enumerate(outputs[:, start:].tolist()):
            answer = written[: written.index(end)] if end in written else written
            found[batch[row // samples] * samples + row % samples] = answer
    return found


def _timed(work: Write, lm: Any, inputs: Sequence[np.ndarray], samples: int, times: list[float]) -> Answers:
    start = time.process_time()
    found = work(lm, inputs, samples)
    times.append(time.process_time() - start)
    return found
