"""Helpers for trying a model: synthetic text, and the errors that may occur."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from flantune.models.attention.masks import prefix_mask
from flantune.models.language_model import embedded_tokens, start_token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from flantune.models.language_model import LanguageModel
    from flantune.types import Int32

PROBE = (3, 5, 7, 11, 13, 17, 19, 23)
FAILURES = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)
"""Errors that a model may raise on inputs it does not support."""


def made_up(lm: LanguageModel) -> torch.Tensor:
    """A row of token ids that exist in every model, [1, 8]."""
    return torch.tensor([[token % vocabulary(lm) for token in PROBE]], device=lm.device)


def vocabulary(lm: LanguageModel) -> int:
    """Number of token ids that the model both reads and generates; some embed more than they generate."""
    read = embedded_tokens(lm.model)
    return min(read, int(getattr(lm.model.config.get_text_config(), "vocab_size", None) or read))


def made_up_ids(lm: LanguageModel, count: int, drawn: np.random.Generator) -> Int32:
    """Synthetic token ids that the model reads and generates, without the first few, which may be special."""
    rows = vocabulary(lm)
    return drawn.integers(min(10, rows - 1), rows, count).astype(np.int32)


def alone(lm: LanguageModel, tokens: Tensor, *, inputs: int) -> dict[str, object]:
    """Rows of one length as inputs of a decoder-only model: in each, a prompt of some tokens and a continuation."""
    given: dict[str, object] = {"input_ids": tokens}
    if lm.reads_both_ways:
        given["attention_mask"] = prefix_mask(lm, inputs=inputs, length=tokens.shape[1], rows=len(tokens))
        # Some models count positions from a mask, which must then have two dimensions (OPT).
        given["position_ids"] = torch.arange(tokens.shape[1], device=lm.device).expand(len(tokens), -1)
    return accepted(lm.model, given)


def accepted(module: torch.nn.Module, inputs: dict[str, object]) -> dict[str, object]:
    """The inputs, without position ids if a module takes none; a trial then decides whether that is right."""
    if "position_ids" in inspect.signature(module.forward).parameters:
        return inputs
    return {name: value for name, value in inputs.items() if name != "position_ids"}


def plain_logits(lm: LanguageModel, inputs: Int32, written: Sequence[int] | Int32) -> Tensor:
    """Logits of the model's own forward after the inputs and after each generated token, without cache or neighbors.

    Also without a mask if attention is causal.

    Returns:
        [generated tokens + 1, vocabulary].
    """
    model: Any = lm.model
    read, wrote = (torch.as_tensor(np.asarray(ids), dtype=torch.long, device=lm.device) for ids in (inputs, written))
    if lm.family == "decoder-only":
        whole = torch.cat([read, wrote])[None]
        logits: Tensor = model(**alone(lm, whole, inputs=len(read)), use_cache=False).logits[0, len(read) - 1 :]
    else:
        fed = torch.cat([wrote.new_tensor([start_token(lm)]), wrote])[None]
        logits = model(input_ids=read[None], decoder_input_ids=fed, use_cache=False).logits[0]
    return logits
