"""Log-probabilities of a pack's target tokens, from which tuning computes its loss."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import starmap
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from flantune.errors import ModelError
from flantune.models.attention.lines import (
    Line,
    decoder_inputs,
    encoder_decoder_lines,
    is_flat_decoder,
    is_flat_encoder_decoder,
    line_up,
    reads_lines,
    t5_hidden,
    wants_padding,
)
from flantune.models.attention.masks import (
    by_layer,
    context_mask,
    decoder_mask,
    format_mask,
    is_plain_decoder,
    is_plain_encoder_decoder,
    mutual_tokens,
)
from flantune.models.embedding_noise import EmbeddingNoise, noisy
from flantune.models.forms.last_layer import only_at
from flantune.models.forms.log_softmax import TokenAndMeanLogprobs, token_logprobs
from flantune.models.forms.training_form import is_rounded
from flantune.models.heads import ROWS, Head, decoded, find_head, logits_of, outputs_of
from flantune.models.language_model import as_tensor, embedded_tokens, start_token
from flantune.models.rope import as_if_alone, known_positions, prompt_lengths
from flantune.models.trials import accepted
from flantune.packing.arrays import input_places
from flantune.packing.packs import DecoderPack, EncoderDecoderPack, Pack, TargetTokens

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from numpy.typing import NDArray

    from flantune.models.language_model import LanguageModel

CHUNK_ELEMENTS = 2**25
"""Largest number of logits in memory at once (128 MiB in float32)."""
CHUNK_ELEMENTS_ON_ACCELERATORS = 2**27
"""On accelerators, small products finish before the next one can be launched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetScores:
    """A model's scores for each target token of a pack.

    Attributes:
        logprobs: Natural log-probability of each token, float32, [n targets].
        is_greedy: Whether the token is the most likely one, [n targets]; None unless asked for.
        logsumexp: Log of the sum of e^logit over the vocabulary, float32, [n targets]; None unless asked for.
        mean_logprob: Mean log-probability over the vocabulary, float32, [n targets]; None unless asked for.
    """

    logprobs: Float[Tensor, " targets"]
    is_greedy: Bool[Tensor, " targets"] | None = None
    logsumexp: Float[Tensor, " targets"] | None = None
    mean_logprob: Float[Tensor, " targets"] | None = None


def target_logprobs(
    lm: LanguageModel,
    pack: Pack,
    *,
    with_greedy: bool = False,
    with_logsumexp: bool = False,
    with_mean: bool = False,
    noise: EmbeddingNoise | None = None,
) -> TargetScores:
    """Log-probability of each target token given only what comes before it in its own prompt.

    Differentiable; run it under ``torch.no_grad()`` for scoring only. The numbers are the same up to float precision,
    packed or with one prompt per row, in any micro-batch. Hidden states are gathered at the targets and the
    language-model head is applied there only (15% of the positions of FLAN-like data); the log-sum-exp is float32.

    Args:
        lm: The model. Its training mode determines dropout.
        pack: Arrays of the model's family.
        with_greedy: Also say whether each target token is the most likely one.
        with_logsumexp: Also return the log-sum-exp of each target's logits, with gradient.
        with_mean: Also return the mean log-probability over the vocabulary, with gradient.
        noise: Noise on the embeddings (decoder-only).

    Returns:
        Scores parallel to ``pack.targets``.

    Raises:
        ModelError: The pack is of the other family, or a prompt exceeds the model's positions.
    """
    _check_family(lm, pack)
    head = find_head(lm)
    tokens = as_tensor(pack.targets.token, lm.device)
    is_mixed = lm.compute_dtype == torch.bfloat16 and not is_rounded(lm.model)
    with torch.autocast(lm.device.type, dtype=torch.bfloat16, enabled=is_mixed):
        outputs = _outputs_at_targets(lm, pack, head, noise)
        elements = CHUNK_ELEMENTS if lm.device.type == "cpu" else CHUNK_ELEMENTS_ON_ACCELERATORS
        size = max(1, elements // embedded_tokens(lm.model))
        chunks = list(zip(torch.split(outputs, size), torch.split(tokens, size), strict=True))
        score = partial(_score, lm, head, with_greedy=with_greedy, with_logsumexp=with_logsumexp, with_mean=with_mean)
        if len(chunks) > 1 and torch.is_grad_enabled():
            # A chunk's logits are recomputed in the backward pass instead of stored.
            score = partial(checkpoint, score, use_reentrant=False)
        scored = list(starmap(score, chunks))
    logprobs, greedy, logsumexp, mean = (torch.cat(parts) for parts in zip(*scored, strict=True))
    return TargetScores(
        logprobs=logprobs,
        is_greedy=greedy if with_greedy else None,
        logsumexp=logsumexp if with_logsumexp else None,
        mean_logprob=mean if with_mean else None,
    )


def _outputs_at_targets(lm: LanguageModel, pack: Pack, head: Head | None, noise: EmbeddingNoise | None) -> Tensor:
    """Hidden states (logits if no head was found) where target tokens are predicted, [n targets, width].

    Rows are laid out as one line without padding where the pack and the model allow it.
    """
    if isinstance(pack, DecoderPack):
        check_positions(lm, int(pack.positions.max(initial=0)) + 1, setting="packing.row_tokens")
        if is_flat_decoder(pack) and reads_lines(lm):
            mutual = input_places(pack) if lm.reads_both_ways else None
            line = line_up(pack.tokens, pack.segments, mutual=mutual, is_padded=wants_padding(lm))
            places = line.index[pack.targets.row, pack.targets.position]
            alone = as_if_alone(lm, lambda: line.lengths)
            with only_at(lm, places, len(line.tokens)), alone, noisy(lm, noise, pack, line):
                outputs = outputs_of(lm, head, decoder_inputs(lm, line))
            return _at(outputs[0], line, pack.targets)
        alone = as_if_alone(lm, lambda: prompt_lengths(lm, pack))
        with only_at(lm, _places(pack), pack.tokens.size), alone, noisy(lm, noise, pack):
            outputs = outputs_of(lm, head, _decoder_only_inputs(lm, pack))
    else:
        start = start_token(lm)
        if head is not None and is_flat_encoder_decoder(pack) and reads_lines(lm):
            read, written = encoder_decoder_lines(pack, is_padded=wants_padding(lm))
            return _at(t5_hidden(lm, read, written), written, pack.targets)
        outputs = _encoder_decoder_outputs(lm, pack, head, start=start)
    return outputs[as_tensor(pack.targets.row, lm.device), as_tensor(pack.targets.position, lm.device)]


def _places(pack: DecoderPack) -> NDArray[np.int64]:
    """Positions at which the targets are predicted, in concatenated rows."""
    places: NDArray[np.int64] = pack.targets.row.astype(np.int64) * pack.tokens.shape[1] + pack.targets.position
    return places


def _at(outputs: Tensor, line: Line, targets: TargetTokens) -> Tensor:
    return outputs.index_select(0, as_tensor(line.index[targets.row, targets.position], outputs.device))


def _decoder_only_inputs(lm: LanguageModel, pack: DecoderPack) -> dict[str, object]:
    """Rows as inputs of a decoder-only model."""
    inputs: dict[str, object] = {"input_ids": as_tensor(pack.tokens, lm.device), "use_cache": False}
    if is_plain_decoder(pack) and not lm.reads_both_ways:
        return inputs | {"attention_mask": as_tensor(pack.segments, lm.device)}
    positions = as_tensor(pack.positions, lm.device)
    segments, branches = (as_tensor(array, lm.device) for array in (pack.segments, pack.branches))
    mask = decoder_mask(segments, branches, mutual_tokens(lm, pack))
    inputs |= {"position_ids": positions, "attention_mask": by_layer(lm, mask, positions, positions)}
    return accepted(lm.model.base_model, inputs)


def _encoder_decoder_outputs(lm: LanguageModel, pack: EncoderDecoderPack, head: Head | None, *, start: int) -> Tensor:
    """Decoder hidden states (logits if no head was found), [rows, decoder length, width]."""
    encoder_segments, decoder_segments, contexts = (
        as_tensor(array, lm.device) for array in (pack.encoder_segments, pack.decoder_segments, pack.decoder_contexts)
    )
    if is_plain_encoder_decoder(pack):
        encoder_mask = cross_mask = encoder_segments
        self_mask = decoder_segments
    else:
        encoder_mask = format_mask(lm, context_mask(encoder_segments, encoder_segments))
        self_mask = format_mask(lm, decoder_mask(decoder_segments, torch.zeros_like(decoder_segments)))
        cross_mask = format_mask(lm, context_mask(contexts, encoder_segments))
    tokens = _with_start_token(as_tensor(pack.decoder_tokens, lm.device), decoder_segments, start=start)
    model: Any = lm.model
    read: Tensor = model.get_encoder()(
        input_ids=as_tensor(pack.encoder_tokens, lm.device), attention_mask=encoder_mask
    ).last_hidden_state
    return decoded(lm, head, tokens, read, sees_read=cross_mask, sees_own=self_mask)


def _score(
    lm: LanguageModel,
    head: Head | None,
    outputs: Tensor,
    tokens: Tensor,
    *,
    with_greedy: bool,
    with_logsumexp: bool,
    with_mean: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log-softmax at some targets; if asked for, whether each token is the most likely, log-sum-exp and mean."""
    logits = logits_of(lm, head, outputs, multiple=ROWS)
    with torch.autocast(lm.device.type, enabled=False):
        mean = logits.new_empty(0)
        if with_mean:
            logprobs, mean = TokenAndMeanLogprobs.apply(logits, tokens)  # type: ignore[no-untyped-call]
        else:
            logprobs = token_logprobs(logits, tokens)
        logsumexp = logits.float().logsumexp(dim=-1) if with_logsumexp else logprobs.new_empty(0)
    greedy = logits.detach().argmax(dim=-1) == tokens if with_greedy else tokens.new_empty(0)
    return logprobs, greedy, logsumexp, mean


def _with_start_token(tokens: Tensor, segments: Tensor, *, start: int) -> Tensor:
    """Puts the model's start token before each continuation."""
    before = torch.nn.functional.pad(segments, (1, 0))[:, :-1]
    return torch.where((segments != before) & (segments > 0), start, tokens)


def _check_family(lm: LanguageModel, pack: Pack) -> None:
    if isinstance(pack, EncoderDecoderPack) != (lm.family == "encoder-decoder"):
        raise ModelError(
            f"a {type(pack).__name__} was given to a model of the {lm.family} family",
            where="packing",
            hint=f'encode with Codec(family="{lm.family}", …)',
        )


def check_positions(lm: LanguageModel, longest: int, *, setting: str) -> None:
    """Raises ModelError if a prompt exceeds the model's positions.

    Args:
        lm: The model.
        longest: Number of tokens of the longest prompt with its target.
        setting: The setting to lower.
    """
    limit = known_positions(lm)
    if limit and longest > limit:
        raise ModelError(
            f"a prompt with its target has {longest} tokens but the model has {limit} positions",
            where=setting,
            hint=f"lower {setting}, so that inputs and target fit into {limit}",
        )
