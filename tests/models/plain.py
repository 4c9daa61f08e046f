"""How a model's own forward is called where a test wants to know what it says of one prompt, without code of ours."""

from __future__ import annotations

import torch

from flantune.models.language_model import LanguageModel


def plain_mask(lm: LanguageModel, inputs: int, length: int) -> dict[str, torch.Tensor]:
    """What a row of one prompt needs beside its tokens: of a prefix LM a mask, written out; else nothing."""
    if lm.attention == "causal":
        return {}
    sees = [[key <= query or (query < inputs and key < inputs) for key in range(length)] for query in range(length)]
    return {"attention_mask": torch.tensor(sees)[None, None]}


def greedy_by_hand(lm: LanguageModel, inputs: torch.Tensor, steps: int, ends: set[int]) -> list[int]:
    """The likeliest tokens after inputs, [n], everything read again for each; without the token that ends it."""
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
