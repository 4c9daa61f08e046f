"""Whether a model can be asked what comes next: it must not see the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from flantune.errors import ModelError
from flantune.models.modes import quiet
from flantune.models.traits import trait
from flantune.models.trials import FAILURES, made_up

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel

TOLERANCE = 1e-3
"""Of a logit, as a share of the largest: what arithmetic in another order explains, with room to spare."""


@trait
def reads_ahead(lm: LanguageModel) -> bool:
    """Whether what a decoder-only model says at a token changes with the tokens after it; found by trying."""
    if lm.family == "encoder-decoder":
        return False
    tokens = made_up(lm)
    changed = tokens.clone()
    changed[0, -2:] = tokens[0, :2]
    try:
        with quiet(lm.model):
            before, after = (_logits(lm, each)[:, :-2] for each in (tokens, changed))
    except FAILURES:
        return False
    return float((before - after).abs().max()) > TOLERANCE * float(before.abs().max())


def _logits(lm: LanguageModel, tokens: torch.Tensor) -> torch.Tensor:
    model: Any = lm.model
    found: torch.Tensor = model(input_ids=tokens, use_cache=False).logits.float()
    return found


def check_causal(lm: LanguageModel, *, where: str) -> None:
    """Raises ModelError for a model that was made to fill gaps, not to go on: it would see what it is asked for."""
    if not reads_ahead(lm):
        return
    config = lm.model.config.get_text_config()
    known = "; its config says is_decoder = false" if getattr(config, "is_decoder", None) is False else ""
    raise ModelError(
        f"{type(lm.model).__name__} is not a decoder-only model: what it says after a token changes with the tokens "
        f"that follow, as in masked models such as BERT{known}",
        where=where,
        hint="choose a causal language model (Llama, Qwen, GPT-2 …) or an encoder-decoder (T5 …)",
    )
