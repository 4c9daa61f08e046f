"""Pretrains the demo's base models from nothing: ``python -m flantune.demo.pretrain --family decoder-only --out …``.

The decoder-only model learns to continue the world's texts; the encoder-decoder model learns to write the rest of a
text whose beginning its encoder reads. The run is a function of its arguments; called again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    T5Config,
    T5ForConditionalGeneration,
)

from flantune.demo import probes
from flantune.demo.pretrain_batches import TextBatch, batches
from flantune.demo.text import documents
from flantune.demo.tokenizer import train_tokenizer
from flantune.models.attention.masks import additive, context_mask, decoder_mask
from flantune.system.files import open_as_usual
from flantune.training.adafactor import Adafactor
from flantune.types import Family

PEAK_RATES: dict[Family, float] = {"decoder-only": 3e-3, "encoder-decoder": 2e-2}
"""AdamW's rate for the decoder, Adafactor's for T5: relative to each weight's size, which T5's small query weights
need (with AdamW at either 3e-3 or 6e-4 the loss fell more slowly from the first million tokens on)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a pretraining run depends on.

    Attributes:
        tokens: Tokens to read before stopping; the learning rate falls along a cosine until then.
        batch_tokens: Tokens of one optimizer step, about.
        learning_rate: Peak rate; None: the family's in ``PEAK_RATES``.
        tokenizer_documents: Documents that the tokenizer is trained on.
    """

    family: Family
    tokens: int
    seed: int = 0
    hidden_size: int = 128
    layers: int = 5
    learning_rate: float | None = None
    warmup_steps: int = 200
    batch_tokens: int = 4_096
    weight_decay: float = 0.05
    tokenizer_documents: int = 30_000

    def rate(self, step: int, tokens_seen: int) -> float:
        """Learning rate of a step: warm-up, then a cosine down to a twentieth."""
        warm = min(1.0, (step + 1) / self.warmup_steps)
        left = 0.5 * (1 + math.cos(math.pi * min(1.0, tokens_seen / self.tokens)))
        return (self.learning_rate or PEAK_RATES[self.family]) * warm * (0.05 + 0.95 * left)


def build_model(recipe: Recipe, *, vocabulary_size: int) -> LlamaForCausalLM | T5ForConditionalGeneration:
    """A model with random weights, of about 1.2 million (decoder-only) or 1.6 million (encoder-decoder) parameters."""
    torch.manual_seed(recipe.seed)
    if recipe.family == "decoder-only":
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=vocabulary_size,
                hidden_size=recipe.hidden_size,
                intermediate_size=recipe.hidden_size * 11 // 4,
                num_hidden_layers=recipe.layers,
                num_attention_heads=4,
                max_position_embeddings=1_024,
                tie_word_embeddings=True,
                bos_token_id=None,
                eos_token_id=1,
                pad_token_id=0,
            )
        )
    model = T5ForConditionalGeneration(
        T5Config(
            vocab_size=vocabulary_size,
            d_model=recipe.hidden_size,
            d_kv=recipe.hidden_size // 4,
            d_ff=recipe.hidden_size * 2,
            num_layers=recipe.layers - 1,
            num_decoder_layers=recipe.layers - 2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
            tie_word_embeddings=False,  # type: ignore[call-arg]  # tied still; but the logits are not scaled down
            decoder_start_token_id=0,
            eos_token_id=1,
            pad_token_id=0,
        )
    )
    # T5 draws embeddings with a deviation of 1, which suits Adafactor's relative steps; with AdamW's absolute ones
    # words would stay where they were drawn for thousands of steps.
    with torch.no_grad():
        model.shared.weight.normal_(std=0.02)
    return model


def loss_of(model: torch.nn.Module, arrays: dict[str, Tensor]) -> Tensor:
    """Mean negative log-likelihood of the labels."""
    if "encoder_tokens" not in arrays:
        loss: Tensor = model(**arrays, use_cache=False).loss
        return loss
    encoder, decoder = arrays["encoder_segments"], arrays["decoder_segments"]
    masks = (
        additive(mask, torch.float32)
        for mask in (
            context_mask(encoder, encoder),
            context_mask(decoder, encoder),
            decoder_mask(decoder, torch.zeros_like(decoder)),
        )
    )
    seen, crossed, causal = masks
    read = cast("Any", model).get_encoder()(input_ids=arrays["encoder_tokens"], attention_mask=seen)
    logits = model(
        encoder_outputs=read,
        attention_mask=crossed,
        decoder_input_ids=arrays["decoder_tokens"],
        decoder_attention_mask=causal,
        use_cache=False,
    ).logits
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), arrays["labels"].flatten())


def pretrain(
    recipe: Recipe,
    *,
    out: Path,
    checkpoint_every_s: float = 300.0,
    probe_every_s: float = 300.0,
    log_every: int = 100,
    stop_after_steps: int | None = None,
    probe_items: int = 200,
) -> Path:
    """Runs or goes on with a pretraining run; the folder ``out/model`` is the newest model in Hugging Face form.

    Args:
        recipe: What to do.
        out: Folder of the run; ``log.jsonl`` in it gets losses and probe scores.
        checkpoint_every_s: Seconds between checkpoints.
        probe_every_s: Seconds between probes.
        log_every: Steps between lines of the log.
        stop_after_steps: Stop early, with a checkpoint.
        probe_items: Items a skill.
    """
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(recipe, out)
    model = build_model(recipe, vocabulary_size=len(tokenizer))
    optimizer = _optimizer(model, recipe)
    state = _resume(model, optimizer, out)
    saved_at = probed_at = time.monotonic()
    losses: list[float] = []
    began, first_tokens, at_start = time.monotonic(), state["tokens"], state["step"]
    stream = batches(
        tokenizer,
        family=recipe.family,
        seed=recipe.seed,
        batch_tokens=recipe.batch_tokens,
        document=state["document"],
        step=state["step"],
    )
    for batch in stream:
        if state["tokens"] >= recipe.tokens or state["step"] - at_start == stop_after_steps:
            break
        losses.append(_step(model, optimizer, batch, rate=recipe.rate(state["step"], state["tokens"])))
        state = {
            "document": batch.next_document,
            "step": state["step"] + 1,
            "tokens": state["tokens"] + batch.tokens,
        }
        now = time.monotonic()
        if state["step"] % log_every == 0:
            speed = (state["tokens"] - first_tokens) / (now - began)
            _log(out, {**state, "loss": sum(losses) / len(losses), "tokens_per_s": round(speed)})
            losses = []
        if now - saved_at > checkpoint_every_s:
            _save(model, optimizer, tokenizer, state, out)
            saved_at = time.monotonic()
        if now - probed_at > probe_every_s:
            _log(out, {**state, "probes": _probed(model, tokenizer, probe_items)})
            probed_at = time.monotonic()
    _save(model, optimizer, tokenizer, state, out)
    _log(out, {**state, "probes": _probed(model, tokenizer, probe_items)})
    return out / "model"


def _optimizer(model: torch.nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.family == "encoder-decoder":
        return Adafactor(list(model.parameters()), lr=recipe.rate(0, 0))
    return torch.optim.AdamW(
        model.parameters(), lr=recipe.rate(0, 0), betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True
    )


def _probed(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, count: int) -> dict[str, float]:
    model.train(False)
    return probes.score_all(model, tokenizer, count=count)


def _step(model: torch.nn.Module, optimizer: torch.optim.Optimizer, batch: TextBatch, *, rate: float) -> float:
    for group in optimizer.param_groups:
        group["lr"] = rate
    model.train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(model, batch.arrays)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())


def _tokenizer(recipe: Recipe, out: Path) -> PreTrainedTokenizerBase:
    if (out / "model" / "tokenizer.json").exists():
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(out / "model")
    return train_tokenizer(islice(documents(recipe.seed), recipe.tokenizer_documents))


def _save(
    model: LlamaForCausalLM | T5ForConditionalGeneration,
    optimizer: torch.optim.Optimizer,
    tokenizer: PreTrainedTokenizerBase,
    state: dict[str, int],
    out: Path,
) -> None:
    """Writes beside, then renames, so that a run killed at any moment finds a whole checkpoint."""
    beside = out / "writing"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    export(model, tokenizer, beside)
    tensors = {f"model.{name}": p.detach().float().clone() for name, p in model.named_parameters()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{slot}": value.clone() for slot, value in slots.items()}
    save_file(tensors, beside / "state.safetensors")
    open_as_usual(beside / "state.safetensors")
    (beside / "state.json").write_text(json.dumps(state))
    old = out / "old"
    shutil.rmtree(old, ignore_errors=True)
    if (out / "model").exists():
        (out / "model").rename(old)
    beside.rename(out / "model")
    shutil.rmtree(old, ignore_errors=True)


def export(
    model: LlamaForCausalLM | T5ForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> None:
    """Writes the model in Hugging Face form with bfloat16 weights, leaving the live model as it is."""
    tokenizer.save_pretrained(folder)
    weights = {name: value.detach().to(torch.bfloat16) for name, value in model.state_dict().items()}
    copy: PreTrainedModel = cast("Any", type(model))(model.config).to(torch.bfloat16)
    copy.load_state_dict(weights)
    copy.save_pretrained(folder, safe_serialization=True)


def _resume(model: torch.nn.Module, optimizer: torch.optim.Optimizer, out: Path) -> dict[str, int]:
    folder = out / "model" if (out / "model").exists() else out / "old"
    if not (folder / "state.json").exists():
        return {"document": 0, "step": 0, "tokens": 0}
    tensors = load_file(folder / "state.safetensors")
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[f"model.{name}"])
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, slot = name.split(".")
            slots.setdefault(int(index), {})[slot] = value
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
    state: dict[str, int] = json.loads((folder / "state.json").read_text())
    return state


def _log(out: Path, record: dict[str, object]) -> None:
    line = json.dumps(record)
    with (out / "log.jsonl").open("a") as file:
        file.write(line + "\n")
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--family", choices=("decoder-only", "encoder-decoder"), required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--tokens", type=int, default=24_000_000, help="tokens to read")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--learning-rate", type=float, help="peak rate; default by family")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--minutes-between-checkpoints", type=float, default=5.0)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    recipe = Recipe(
        family=given.family,
        tokens=given.tokens,
        seed=given.seed,
        hidden_size=given.hidden_size,
        layers=given.layers,
        learning_rate=given.learning_rate,
    )
    every_s = given.minutes_between_checkpoints * 60
    pretrain(recipe, out=given.out, checkpoint_every_s=every_s, probe_every_s=every_s)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
