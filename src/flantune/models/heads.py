"""From hidden states to logits at chosen positions only, checked against the model's own logits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import torch

from flantune.models.modes import quiet
from flantune.models.traits import trait
from flantune.models.trials import FAILURES, made_up

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from flantune.models.language_model import LanguageModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How a model turns a hidden state into logits.

    Attributes:
        input_scale: Multiplies the hidden state (T5 with shared embeddings: ``d_model ** -0.5``).
        output_scale: Multiplies the logits (Cohere, Granite).
        softcap: Squeezes the logits smoothly into ±softcap (Gemma 2); 0 does not.
    """

    input_scale: float = 1.0
    output_scale: float = 1.0
    softcap: float = 0.0

    def logits(self, model: Any, hidden: Tensor) -> Tensor:
        """Logits of hidden states, [n, width] → [n, vocabulary]."""
        scaled = hidden if self.input_scale == 1.0 else hidden * self.input_scale
        logits: Tensor = model.get_output_embeddings()(scaled)
        if self.softcap:
            logits = torch.tanh(logits / self.softcap) * self.softcap
        return logits if self.output_scale == 1.0 else logits * self.output_scale


def outputs_of(lm: LanguageModel, head: Head | None, inputs: dict[str, object]) -> Tensor:
    """Hidden states of a decoder-only model (logits where no head was found), [rows, length, width]."""
    model: Any = lm.model
    found: Tensor = model(**inputs).logits if head is None else model.base_model(**inputs).last_hidden_state
    return found


@trait
def find_head(lm: LanguageModel) -> Head | None:
    """The head that reproduces the model's own logits; None when no known form does, so that they must be used.

    Tried once a model, on a handful of tokens, in float32 without dropout.
    """
    model: Any = lm.model
    if model.get_output_embeddings() is None:
        return None
    try:
        with quiet(model):
            hidden, expected = _probe(lm)
            return next((head for head in _candidates(lm.model) if _is_right(lm, head, hidden, expected)), None)
    except FAILURES:
        # The model's parts are not called like others' parts; the model itself is.
        return None


def _is_right(lm: LanguageModel, head: Head, hidden: Tensor, expected: Tensor) -> bool:
    found = head.logits(lm.model, hidden)
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-4, atol=1e-4)


def _candidates(model: PreTrainedModel) -> Iterator[Head]:
    config = model.config.get_text_config()
    width = float(getattr(config, "d_model", 0) or 0)
    softcap = float(getattr(config, "final_logit_softcapping", None) or 0.0)
    multiplier = float(getattr(config, "logit_scale", None) or 1.0)
    divisor = float(getattr(config, "logits_scaling", None) or 1.0)
    inputs = [1.0, width**-0.5] if width and model.config.is_encoder_decoder else [1.0]
    if getattr(config, "scale_decoder_outputs", False):
        inputs.reverse()
    for input_scale, output_scale in product(inputs, dict.fromkeys((multiplier / divisor, multiplier * divisor))):
        yield Head(input_scale=input_scale, output_scale=output_scale, softcap=softcap)


def _probe(lm: LanguageModel) -> tuple[Tensor, Tensor]:
    """Hidden states at the model's last layer, and the logits it makes of them."""
    model: Any = lm.model
    tokens = made_up(lm)
    if lm.family == "decoder-only":
        hidden = model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        return hidden[0], model(input_ids=tokens, use_cache=False).logits[0]
    encoded = model.get_encoder()(input_ids=tokens)
    decoded = model.get_decoder()(
        input_ids=tokens, encoder_hidden_states=encoded.last_hidden_state, use_cache=False
    ).last_hidden_state
    logits = model(encoder_outputs=encoded, decoder_input_ids=tokens, use_cache=False).logits
    return decoded[0], logits[0]
