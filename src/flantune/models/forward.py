"""Log-probabilities of a pack's target tokens: the one function that training and evaluation share."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers.modeling_outputs import BaseModelOutput

from flantune.errors import ModelError
from flantune.models.arithmetic import is_rounded
from flantune.models.attention import NAME
from flantune.models.flat import (
    STEP,
    Line,
    decoder_hidden,
    decoder_logits,
    encoder_decoder_lines,
    is_flat_decoder,
    is_flat_encoder_decoder,
    line_up,
    reads_lines,
    t5_hidden,
)
from flantune.models.fused import token_logprobs
from flantune.models.heads import Head, find_head
from flantune.models.last_layer import only_at
from flantune.models.load import embedded_tokens
from flantune.models.masks import (
    additive,
    context_mask,
    decoder_mask,
    is_plain_decoder,
    is_plain_encoder_decoder,
    windowed,
)
from flantune.types import DecoderPack, EncoderDecoderPack, Pack, TargetTokens

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from numpy.typing import NDArray

    from flantune.models.load import LanguageModel
    from flantune.types import Int32

CHUNK_ELEMENTS = 2**25
"""Logits in memory at once (128 MiB in float32)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetScores:
    """What a model thinks of each target token of a pack.

    Attributes:
        logprobs: Natural log-probability of each token, float32, [n targets].
        is_greedy: Whether the token is the model's first choice, [n targets]; None unless asked for.
        logsumexp: Log of the sum of e^logit over the vocabulary, float32, [n targets]; None unless asked for.
    """

    logprobs: Float[Tensor, " targets"]
    is_greedy: Bool[Tensor, " targets"] | None = None
    logsumexp: Float[Tensor, " targets"] | None = None


def target_logprobs(
    lm: LanguageModel, pack: Pack, *, with_greedy: bool = False, with_logsumexp: bool = False
) -> TargetScores:
    """Log-probability of each target token given what stands before it in its own prompt, and nothing else.

    Differentiable; run it under ``torch.no_grad()`` to only score. Packed or one prompt in a row, any micro-batch: the
    numbers are the same to float precision. Hidden states are gathered at the targets and the language-model head is
    applied there only (15% of the positions of FLAN-like data); the log-sum-exp is float32.

    Args:
        lm: The model. Its training mode decides about dropout.
        pack: Arrays of either family; must be of the model's.
        with_greedy: Also say whether each target token is the most likely one.
        with_logsumexp: Also give the log-sum-exp of each target's logits, with gradient.

    Returns:
        Scores parallel to ``pack.targets``.

    Raises:
        ModelError: The pack is of the other family, or holds a prompt beyond the model's positions.
    """
    _check_family(lm, pack)
    head = find_head(lm)
    tokens = _tensor(pack.targets.token, lm.device)
    is_mixed = lm.compute_dtype == torch.bfloat16 and not is_rounded(lm.model)
    with torch.autocast(lm.device.type, dtype=torch.bfloat16, enabled=is_mixed):
        gathered = _outputs_at_targets(lm, pack, head)
        return _score(lm, head, gathered, tokens, with_greedy=with_greedy, with_logsumexp=with_logsumexp)


def _outputs_at_targets(lm: LanguageModel, pack: Pack, head: Head | None) -> Tensor:
    """Hidden states (logits where no head was found) where target tokens are predicted, [n targets, width].

    Rows are laid out as one line without padding where the pack and the model allow it.
    """
    if isinstance(pack, DecoderPack):
        check_positions(lm, int(pack.positions.max(initial=0)) + 1, setting="packing.row_tokens")
        if is_flat_decoder(pack) and reads_lines(lm):
            line = line_up(pack.tokens, pack.segments)
            with only_at(lm, line.index[pack.targets.row, pack.targets.position], len(line.tokens)):
                outputs = decoder_logits(lm, line) if head is None else decoder_hidden(lm, line)
            return _at(outputs, line, pack.targets)
        with only_at(lm, _places(pack), pack.tokens.size):
            outputs = _decoder_only_outputs(lm, pack, head)
    else:
        _check_start_token(lm)
        if head is not None and is_flat_encoder_decoder(pack) and reads_lines(lm):
            read, written = encoder_decoder_lines(pack)
            return _at(t5_hidden(lm, read, written), written, pack.targets)
        outputs = _encoder_decoder_outputs(lm, pack, head)
    return outputs[_tensor(pack.targets.row, lm.device), _tensor(pack.targets.position, lm.device)]


def _places(pack: DecoderPack) -> NDArray[np.int64]:
    """Where the targets are predicted, in rows laid end to end."""
    places: NDArray[np.int64] = pack.targets.row.astype(np.int64) * pack.tokens.shape[1] + pack.targets.position
    return places


def _at(outputs: Tensor, line: Line, targets: TargetTokens) -> Tensor:
    return outputs.index_select(0, _tensor(line.index[targets.row, targets.position], outputs.device))


def _decoder_only_outputs(lm: LanguageModel, pack: DecoderPack, head: Head | None) -> Tensor:
    """Hidden states (logits where no head was found), [rows, length, width]."""
    inputs = {"input_ids": _tensor(pack.tokens, lm.device), "use_cache": False}
    if is_plain_decoder(pack):
        inputs["attention_mask"] = _tensor(pack.segments, lm.device)
    else:
        positions = _tensor(pack.positions, lm.device)
        mask = decoder_mask(_tensor(pack.segments, lm.device), _tensor(pack.branches, lm.device))
        inputs |= {"position_ids": positions, "attention_mask": _layered_mask(lm, mask, positions)}
        inputs = _accepted(lm.model.base_model, inputs)
    if head is None:
        logits: Tensor = lm.model(**inputs).logits
        return logits
    hidden: Tensor = lm.model.base_model(**inputs).last_hidden_state
    return hidden


def _encoder_decoder_outputs(lm: LanguageModel, pack: EncoderDecoderPack, head: Head | None) -> Tensor:
    """Decoder hidden states (logits where no head was found), [rows, decoder length, width]."""
    encoder_segments, decoder_segments, contexts = (
        _tensor(array, lm.device) for array in (pack.encoder_segments, pack.decoder_segments, pack.decoder_contexts)
    )
    if is_plain_encoder_decoder(pack):
        encoder_mask = cross_mask = encoder_segments
        self_mask = decoder_segments
    else:
        encoder_mask = format_mask(lm, context_mask(encoder_segments, encoder_segments))
        self_mask = format_mask(lm, decoder_mask(decoder_segments, torch.zeros_like(decoder_segments)))
        cross_mask = format_mask(lm, context_mask(contexts, encoder_segments))
    tokens = _with_start_token(lm, _tensor(pack.decoder_tokens, lm.device), decoder_segments)
    model: Any = lm.model
    read: Tensor = model.get_encoder()(
        input_ids=_tensor(pack.encoder_tokens, lm.device), attention_mask=encoder_mask
    ).last_hidden_state
    if head is None:
        logits: Tensor = lm.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=read),
            attention_mask=cross_mask,
            decoder_input_ids=tokens,
            decoder_attention_mask=self_mask,
            use_cache=False,
        ).logits
        return logits
    hidden: Tensor = model.get_decoder()(
        input_ids=tokens,
        attention_mask=self_mask,
        encoder_hidden_states=read,
        encoder_attention_mask=cross_mask,
        use_cache=False,
    ).last_hidden_state
    return hidden


def _score(
    lm: LanguageModel,
    head: Head | None,
    outputs: Tensor,
    tokens: Tensor,
    *,
    with_greedy: bool,
    with_logsumexp: bool = False,
) -> TargetScores:
    """Log-softmax at the targets, a chunk of them at a time.

    With several chunks and gradients, a chunk's logits are computed again in the backward pass instead of kept.
    """

    def score(chunk: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # A few rows more, so that the matrix's shape is one of few (see ``segments.rung``).
        filled = torch.nn.functional.pad(chunk, (0, 0, 0, -len(chunk) % STEP)) if head else chunk
        logits = chunk if head is None else head.logits(lm.model, filled)[: len(chunk)]
        with torch.autocast(lm.device.type, enabled=False):
            logprobs = token_logprobs(logits, wanted)
            logsumexp = logits.float().logsumexp(dim=-1) if with_logsumexp else logprobs.new_empty(0)
        greedy = logits.detach().argmax(dim=-1) == wanted if with_greedy else wanted.new_empty(0)
        return logprobs, greedy, logsumexp

    size = max(1, CHUNK_ELEMENTS // embedded_tokens(lm.model))
    pairs = list(zip(torch.split(outputs, size), torch.split(tokens, size), strict=True))
    if len(pairs) > 1 and torch.is_grad_enabled():
        scored = [checkpoint(score, *pair, use_reentrant=False) for pair in pairs]
    else:
        scored = [score(*pair) for pair in pairs]
    return TargetScores(
        logprobs=torch.cat([logprobs for logprobs, _, _ in scored]),
        is_greedy=torch.cat([greedy for _, greedy, _ in scored]) if with_greedy else None,
        logsumexp=torch.cat([logsumexp for _, _, logsumexp in scored]) if with_logsumexp else None,
    )


def _layered_mask(lm: LanguageModel, mask: Tensor, positions: Tensor) -> Tensor | dict[str, Tensor]:
    """The mask as the model wants it: sliding-window layers get a narrower one when a prompt outgrows the window."""
    config = lm.model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    if not window or getattr(config, "use_sliding_window", True) is False or int(positions.max()) < window:
        return format_mask(lm, mask)
    narrow = format_mask(lm, windowed(mask, positions, int(window)))
    kinds = set(getattr(config, "layer_types", None) or ["sliding_attention"])
    return (
        narrow
        if kinds == {"sliding_attention"}
        else {"full_attention": format_mask(lm, mask), "sliding_attention": narrow}
    )


def format_mask(lm: LanguageModel, mask: Tensor) -> Tensor:
    """Booleans for fused attention, numbers to add for eager attention."""
    is_fused = lm.model.config._attn_implementation in ("sdpa", NAME)
    return mask if is_fused else additive(mask, lm.compute_dtype)


def _with_start_token(lm: LanguageModel, tokens: Tensor, segments: Tensor) -> Tensor:
    """The model's own start token at the head of each continuation."""
    start = lm.model.config.decoder_start_token_id
    before = torch.nn.functional.pad(segments, (1, 0))[:, :-1]
    return torch.where((segments != before) & (segments > 0), int(start), tokens)


def _check_start_token(lm: LanguageModel) -> None:
    if lm.model.config.decoder_start_token_id is None:
        raise ModelError(
            "the encoder-decoder has no decoder_start_token_id",
            where="model",
            hint='set "decoder_start_token_id" in its config.json',
        )


def _accepted(module: torch.nn.Module, inputs: dict[str, object]) -> dict[str, object]:
    """The inputs without position ids where the model takes none; the isolation test then judges it."""
    if "position_ids" in inspect.signature(module.forward).parameters:
        return inputs
    return {name: value for name, value in inputs.items() if name != "position_ids"}


def _check_family(lm: LanguageModel, pack: Pack) -> None:
    if isinstance(pack, EncoderDecoderPack) != (lm.family == "encoder-decoder"):
        raise ModelError(
            f"a {type(pack).__name__} was given to a model of the {lm.family} family",
            where="packing",
            hint=f'encode with Codec(family="{lm.family}", …)',
        )


def check_positions(lm: LanguageModel, longest: int, *, setting: str) -> None:
    """Raises ModelError where a prompt is beyond what the model knows.

    Args:
        lm: The model.
        longest: Tokens of the longest prompt with its target.
        setting: What to lower.
    """
    limit = getattr(lm.model.config.get_text_config(), "max_position_embeddings", None)
    if limit and longest > limit:
        raise ModelError(
            f"a prompt with its target has {longest} tokens but the model knows {limit} positions",
            where=setting,
            hint=f"lower {setting}, so that inputs and target fit into {limit}",
        )


def _tensor(array: Int32, device: torch.device) -> Tensor:
    return torch.from_numpy(array).to(device=device, dtype=torch.long)
