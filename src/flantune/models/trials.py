"""What trying a model out takes: made-up text, and a list of what may go wrong."""

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
"""What a model may raise that is given something it does not know."""


def made_up(lm: LanguageModel) -> torch.Tensor:
    """A row of token ids that every model has, [1, 8]."""
    return torch.tensor([[token % vocabulary(lm) for token in PROBE]], device=lm.device)


def vocabulary(lm: LanguageModel) -> int:
    """How many token ids the model both reads and writes; some embed more than they write."""
    read = embedded_tokens(lm.model)
    return min(read, int(getattr(lm.model.config.get_text_config(), "vocab_size", None) or read))


def made_up_ids(lm: LanguageModel, count: int, drawn: np.random.Generator) -> Int32:
    """Made-up token ids that the model reads and writes; not the first few, which may be special."""
    rows = vocabulary(lm)
    return drawn.integers(min(10, rows - 1), rows, count).astype(np.int32)


def alone(lm: LanguageModel, tokens: Tensor, *, inputs: int) -> dict[str, object]:
    """Rows of one length as a decoder-only model takes them; each holds a prompt of so many tokens and what follows."""
    given: dict[str, object] = {"input_ids": tokens}
    if lm.reads_both_ways:
        given["attention_mask"] = prefix_mask(lm, inputs=inputs, length=tokens.shape[1], rows=len(tokens))
        # Some count positions from a mask, which must then have two dimensions (OPT).
        given["position_ids"] = torch.arange(tokens.shape[1], device=lm.device).expand(len(tokens), -1)
    return accepted(lm.model, given)


def accepted(module: torch.nn.Module, inputs: dict[str, object]) -> dict[str, object]:
    """The inputs without position ids where a module takes none; a trial then judges it."""
    if "position_ids" in inspect.signature(module.forward).parameters:
        return inputs
    return {name: value for name, value in inputs.items() if name != "position_ids"}


def plain_logits(lm: LanguageModel, inputs: Int32, written: Sequence[int] | Int32) -> Tensor:
    """What the model's own forward says after inputs and after each token written, without cache or neighbors.

    Without mask, too, where attention is causal.

    Returns:
        [written tokens + 1, vocabulary].
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
