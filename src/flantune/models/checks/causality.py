"""Whether a model attends as it must: never to later targets; with prefix attention, to inputs in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from flantune.errors import ModelError
from flantune.models.language_model import first_line
from flantune.models.modes import quiet
from flantune.models.traits import trait
from flantune.models.trials import FAILURES, alone, made_up

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel

TOLERANCE = 1e-3
"""Tolerance for logits as a share of the largest: more than another order of arithmetic explains."""
SAME = 1e-6
"""Likewise for arithmetic in the same order."""
INPUTS = 5
"""Number of the synthetic tokens that are inputs when a model is tried with prefix attention."""


@trait
def reads_ahead(lm: LanguageModel) -> bool:
    """Whether a decoder-only model's output at a token depends on later tokens; found by trying."""
    if lm.family == "encoder-decoder":
        return False
    tokens = made_up(lm)
    changed = tokens.clone()
    changed[0, -2:] = tokens[0, :2]
    try:
        with quiet(lm.model):
            before, after = (_logits(lm, {"input_ids": each})[:, :-2] for each in (tokens, changed))
    except FAILURES:
        return False
    return float((before - after).abs().max()) > TOLERANCE * float(before.abs().max())


def _logits(lm: LanguageModel, given: dict[str, object]) -> torch.Tensor:
    model: Any = lm.model
    found: torch.Tensor = model(**given, use_cache=False).logits.float()
    return found


def check_causal(lm: LanguageModel, *, where: str) -> None:
    """Raises ModelError for a masked model (BERT), which would see the answer that it has to predict."""
    if not reads_ahead(lm):
        return
    config = lm.model.config.get_text_config()
    known = "; its config says is_decoder = false" if getattr(config, "is_decoder", None) is False else ""
    raise ModelError(
        f"{type(lm.model).__name__} is not a decoder-only model: its output at a token depends on later tokens, as in "
        f"masked models such as BERT{known}",
        where=where,
        hint="choose a causal language model (Llama, Qwen, GPT-2 …) or an encoder-decoder (T5 …)",
    )


def check_prefix(lm: LanguageModel) -> None:
    """Raises ModelError for a model that cannot read its inputs in both directions, although the settings ask for it.

    Tried on synthetic tokens: an input must depend on the one after it, and nothing may depend on later targets.
    """
    if not lm.reads_both_ways:
        return
    hint = 'set model.attention = "auto"'
    if lm.family == "encoder-decoder":
        message = "prefix attention is for decoder-only models: an encoder reads its inputs both ways as it is"
        raise ModelError(message, where="model.attention", hint=hint)
    tokens = made_up(lm)
    try:
        with quiet(lm.model):
            inputs, targets = (_change_before(lm, tokens, place) for place in (INPUTS - 1, INPUTS + 1))
    except FAILURES as error:
        reason = f"it does not take a mask of its own: {first_line(error)}"
    else:
        if inputs > SAME and targets <= TOLERANCE:
            return
        reason = "its output at an input does not depend on the next" if inputs <= SAME else "it sees its targets"
    raise ModelError(
        f"{type(lm.model).__name__} cannot read its inputs both ways: {reason}",
        where="model.attention",
        hint=f"{hint}, or choose a model whose attention takes masks (Llama, Qwen, GPT-2, GPT-NeoX …)",
    )


def _change_before(lm: LanguageModel, tokens: torch.Tensor, place: int) -> float:
    """How much the model's output just before a token, and earlier, depends on it, as a share of the largest."""
    changed = tokens.clone()
    changed[0, place] = tokens[0, 0]
    before, after = (_logits(lm, alone(lm, each, inputs=INPUTS))[:, :place] for each in (tokens, changed))
    return float((before - after)[:, -1 if place < INPUTS else slice(None)].abs().max() / before.abs().max())
