"""Calls of a model's own forward on one prompt, without flantune's code."""

from __future__ import annotations

from typing import Any

import torch

from flantune.models.language_model import LanguageModel


def plain_mask(lm: LanguageModel, inputs: int, length: int) -> dict[str, Any]:
    """Further arguments for a row of one prompt: the mask of a prefix LM, written out; else nothing."""
    if lm.attention == "causal":
        return {}
    places = range(length)
    whole = [[key <= query or (query < inputs and key < inputs) for key in places] for query in places]
    config = lm.model.config
    window = getattr(config, "sliding_window", None) or length
    near = [[sees and abs(query - key) < window for key, sees in enumerate(row)] for query, row in enumerate(whole)]
    masks = {kind: _as_taken(lm, sees) for kind, sees in (("full_attention", whole), ("sliding_attention", near))}
    kinds = set(getattr(config, "layer_types", None) or ["sliding_attention"])
    mask = masks if len(kinds) > 1 else masks[kinds.pop()]
    # OPT counts positions from a two-dimensional mask.
    positions = {"position_ids": torch.arange(length)[None]} if config.model_type == "opt" else {}
    return {"attention_mask": mask, **positions}


def _as_taken(lm: LanguageModel, sees: list[list[bool]]) -> torch.Tensor:
    mask = torch.tensor(sees)[None, None]
    return (
        torch.zeros(mask.shape).masked_fill(~mask, -1e30) if lm.model.config._attn_implementation == "eager" else mask
    )


def greedy_by_hand(lm: LanguageModel, inputs: torch.Tensor, steps: int, ends: set[int]) -> list[int]:
    """The most likely tokens after inputs, [n], with everything read again for each; without the end token."""
    written: list[int] = []
    with torch.no_grad():
        for _ in range(steps):
            new = torch.tensor(written, dtype=torch.long)
            if lm.family == "decoder-only":
                whole = torch.cat([inputs, new])[None]
                logits = lm.model(input_ids=whole, **plain_mask(lm, len(inputs), whole.shape[1])).logits
            else:
                start = torch.tensor([lm.model.config.decoder_start_token_id])
                logits = lm.model(input_ids=inputs[None], decoder_input_ids=torch.cat([start, new])[None]).logits
            token = int(logits[0, -1].argmax())
            if token in ends:
                break
            written.append(token)
    return written
