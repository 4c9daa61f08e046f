"""From hidden states to logits at chosen positions only, checked against the model's own logits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from transformers.modeling_outputs import BaseModelOutput

from flantune.models.modes import quiet
from flantune.models.traits import trait
from flantune.models.trials import FAILURES, made_up

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import EncoderDecoderCache, PreTrainedModel

    from flantune.models.language_model import LanguageModel

ROWS = 32
"""If all rows are needed at once, the head is applied to a multiple of this many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How a model turns a hidden state into logits.

    Attributes:
        input_scale: Multiplies the hidden state (T5 with shared embeddings: ``d_model ** -0.5``).
        output_scale: Multiplies the logits (Cohere, Granite).
        softcap: Limits the logits smoothly to ±softcap (Gemma 2); 0: no limit.
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
    """Hidden states of a decoder-only model (logits if no head was found), [rows, length, width]."""
    model: Any = lm.model
    found: Tensor = model(**inputs).logits if head is None else model.base_model(**inputs).last_hidden_state
    return found


def decoded(
    lm: LanguageModel,
    head: Head | None,
    tokens: Tensor,
    read: Tensor,
    *,
    sees_read: Tensor,
    sees_own: Tensor | None = None,
    cache: EncoderDecoderCache | None = None,
) -> Tensor:
    """Like ``outputs_of``, for an encoder-decoder's decoder, [rows, length, width].

    Args:
        lm: The model.
        head: Its head.
        tokens: The decoder's inputs, [rows, length].
        read: The encoder's output.
        sees_read: Mask of cross-attention: which of the encoder's states each token attends to.
        sees_own: Mask of self-attention: which earlier tokens each token attends to; None: all.
        cache: Keys and values of earlier tokens; the new ones are added.
    """
    model: Any = lm.model
    use_cache = cache is not None
    if head is None:
        logits: Tensor = model(
            encoder_outputs=BaseModelOutput(last_hidden_state=read), attention_mask=sees_read,
            decoder_input_ids=tokens, decoder_attention_mask=sees_own, past_key_values=cache, use_cache=use_cache,
        ).logits  # fmt: skip
        return logits
    hidden: Tensor = model.get_decoder()(
        input_ids=tokens, attention_mask=sees_own, past_key_values=cache, use_cache=use_cache,
        encoder_hidden_states=read, encoder_attention_mask=sees_read,
    ).last_hidden_state  # fmt: skip
    return hidden


def logits_of(lm: LanguageModel, head: Head | None, outputs: Tensor, *, multiple: int = 1) -> Tensor:
    """Logits of some outputs of ``outputs_of`` or ``decoded``, [n, width] → [n, vocabulary].

    The head is applied to a padded number of rows, so that few shapes occur (``segment_plan.padded_length``).
    """
    if head is None:
        return outputs
    filled = torch.nn.functional.pad(outputs, (0, 0, 0, -len(outputs) % multiple))
    return head.logits(lm.model, filled)[: len(outputs)]


@trait
def find_head(lm: LanguageModel) -> Head | None:
    """The head that reproduces the model's own logits; None if no known form does and the model's own must be used.

    Tried once per model, on a few tokens, in float32 without dropout.
    """
    model: Any = lm.model
    if model.get_output_embeddings() is None:
        return None
    try:
        with quiet(model):
            hidden, expected = _probe(lm)
            return next((head for head in _candidates(lm.model) if _is_right(lm, head, hidden, expected)), None)
    except FAILURES:
        # The parts have other names in this model; the model as a whole still works.
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
    """Hidden states of the model's last layer, and the logits it computes from them."""
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
