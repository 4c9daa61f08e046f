"""Packed rows as one flat line of tokens with hardly any padding, for models that support it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from flantune.models.attention.interface import NAME, install
from flantune.models.attention.masks import prefix_mask
from flantune.models.attention.segment_plan import padded_length
from flantune.models.language_model import as_tensor, start_token
from flantune.models.modes import quiet
from flantune.models.rope import as_if_alone, forget_lengths
from flantune.models.traits import trait_by
from flantune.models.transfer import on_device
from flantune.models.trial_lengths import outgrown
from flantune.models.trials import FAILURES, PROBE, vocabulary
from flantune.packing.packs import DecoderPack, EncoderDecoderPack
from flantune.types import Int32

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flantune.models.language_model import LanguageModel

TOLERANCE = 1e-3
STEP = 32
"""Lines are padded to a multiple of this many tokens, because each new shape costs time (see ``padded_length``)."""
REACH = 128
"""T5's table of biases by distance has a multiple of this length, so that few shapes occur."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The tokens of all segments, one segment after the other, usually longest first, with a little padding at the end.

    Attributes:
        tokens: [n].
        positions: Position of each token within its segment, [n].
        ends: Start of each segment, and the end of the last, int32, [segments + 1].
        index: Place in the line of each token of the pack, [rows, length]; 0 for padding.
        mutual: How many tokens at the start of each segment attend to each other in both directions, [segments]; None:
            attention is causal.
    """

    tokens: Int32
    positions: Int32
    ends: Int32
    index: Int32
    mutual: Int32 | None = None

    @property
    def longest(self) -> int:
        """Length of the longest segment in tokens."""
        return int(np.diff(self.ends).max(initial=0))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each token's segment, 1 for padding, [n]."""
        sizes = np.diff(self.ends).astype(np.int64)
        return np.pad(np.repeat(sizes, sizes), (0, len(self.tokens) - int(self.ends[-1])), constant_values=1)


def line_up(
    tokens: Int32,
    segments: Int32,
    order: NDArray[np.int64] | None = None,
    *,
    mutual: NDArray[np.bool_] | None = None,
    is_padded: bool = False,
) -> Line:
    """Puts the tokens of packed rows, without their padding, in one line.

    >>> line = line_up(np.array([[5, 6, 7, 0], [8, 9, 1, 2]]), np.array([[1, 2, 2, 0], [1, 1, 1, 1]]))
    >>> line.tokens[:7].tolist(), line.ends.tolist(), line.positions[:7].tolist(), len(line.tokens)
    ([8, 9, 1, 2, 6, 7, 5], [0, 4, 6, 7], [0, 1, 2, 3, 0, 1, 0], 32)

    Args:
        tokens: [rows, length].
        segments: Number of each token's segment in its row from 1 on, 0 for padding, [rows, length].
        order: Order of the segments, which are numbered row by row from 0; None: longest first.
        mutual: Tokens at the start of their segment that attend to each other in both directions, [rows, length]; None:
            attention is causal.
        is_padded: Add padding even if the line already has a length that needs none.
    """
    rows, places = np.nonzero(segments)
    name = rows * (int(segments.max(initial=0)) + 1) + segments[rows, places]
    starts = np.flatnonzero(np.diff(name, prepend=-1))
    lengths = np.diff(starts, append=len(name))
    if order is None:
        order = np.argsort(-lengths, kind="stable")
    ends = np.concatenate([[0], np.cumsum(lengths[order])])
    within = np.arange(ends[-1]) - np.repeat(ends[:-1], lengths[order])
    source = np.repeat(starts[order], lengths[order]) + within
    index = np.zeros(tokens.shape, dtype=np.int32)
    index[rows[source], places[source]] = np.arange(len(source))
    behind = (0, -len(source) % STEP or STEP * is_padded)
    counts = None if mutual is None else np.add.reduceat(mutual[rows, places], starts, dtype=np.int32)[order]
    return Line(
        tokens=np.pad(tokens[rows[source], places[source]].astype(np.int32), behind),
        positions=np.pad(within.astype(np.int32), behind),
        ends=ends.astype(np.int32),
        index=index,
        mutual=counts,
    )


def is_flat_decoder(pack: DecoderPack) -> bool:
    """Whether each segment is one text without branches."""
    return not pack.branches.any()


def is_flat_encoder_decoder(pack: EncoderDecoderPack) -> bool:
    """Whether each prompt has one continuation."""
    return bool((pack.decoder_contexts == pack.decoder_segments).all())


def decoder_inputs(lm: LanguageModel, line: Line) -> dict[str, object]:
    """A line as keyword arguments of a decoder-only model."""
    inputs = {
        "input_ids": as_tensor(line.tokens, lm.device)[None],
        "position_ids": as_tensor(line.positions, lm.device)[None],
        # Never read; because it has four dimensions, transformers passes it on instead of making a mask.
        "attention_mask": torch.zeros(1, 1, 1, 1, device=lm.device),
        "use_cache": False,
        **_limits(line, line, lm.device),
    }
    if line.mutual is not None:
        inputs["mutual"] = torch.from_numpy(line.mutual)
    return inputs


def wants_padding(lm: LanguageModel) -> bool:
    """Whether lines must have padding: GPU kernels treat it as one more segment, and segments must not be empty."""
    return lm.device.type != "cpu"


def encoder_decoder_lines(pack: EncoderDecoderPack, *, is_padded: bool = False) -> tuple[Line, Line]:
    """The encoder's line and the decoder's, with the segments in the same order; ``is_padded`` as in ``line_up``."""
    lengths = [_segment_lengths(segments) for segments in (pack.encoder_segments, pack.decoder_segments)]
    order = np.lexsort((np.arange(len(lengths[0])), -lengths[1], -lengths[0]))
    return (
        line_up(pack.encoder_tokens, pack.encoder_segments, order, is_padded=is_padded),
        line_up(pack.decoder_tokens, pack.decoder_segments, order, is_padded=is_padded),
    )


def _segment_lengths(segments: Int32) -> NDArray[np.int64]:
    rows, places = np.nonzero(segments)
    name = rows * (int(segments.max(initial=0)) + 1) + segments[rows, places]
    counts: NDArray[np.int64] = np.unique(name, return_counts=True)[1].astype(np.int64)
    return counts


def t5_hidden(lm: LanguageModel, read: Line, written: Line) -> Tensor:
    """Hidden states of the decoder of a T5-like model, [n, width].

    Calls the model's blocks one by one: its own forward pass would make a bias for every pair of tokens of the line.

    Args:
        lm: The model.
        read: The encoder's line.
        written: The decoder's line.
    """
    model: Any = lm.model
    seen = _through(model.get_encoder(), as_tensor(read.tokens, lm.device)[None], read, read)
    tokens = np.where(written.positions == 0, start_token(lm), written.tokens)
    return _through(model.get_decoder(), as_tensor(tokens, lm.device)[None], written, read, context=seen)[0]


def _through(stack: Any, tokens: Tensor, line: Line, context_line: Line, *, context: Tensor | None = None) -> Tensor:
    """Hidden states of the encoder or the decoder of T5, [1, n, width]."""
    limits = _limits(line, context_line, tokens.device)
    hidden = stack.dropout(stack.embed_tokens(tokens))
    # In place of masks and position biases, which are not read when a table by distance is given.
    nothing = torch.zeros(1, 1, 1, 1, device=tokens.device, dtype=hidden.dtype)
    table = None
    for block in stack.block:
        inner = block.layer[0].SelfAttention
        if inner.has_relative_attention_bias:
            table = _bias_table(inner, REACH * -(-line.longest // REACH))
        hidden = block(hidden, nothing, table, context, nothing, nothing, **limits)[0]
    found: Tensor = stack.dropout(stack.final_layer_norm(hidden))
    return found


def _limits(line: Line, context: Line, device: torch.device) -> dict[str, Any]:
    """The ends of the segments of queries and keys, under the names that transformers uses.

    On an accelerator also as ``ends_there``, on the device and with the padding as one more segment. Kernels write
    segments only; unwritten padding might hold NaN, and the backward pass would spread it everywhere.
    """
    there = {}
    if device.type != "cpu":
        ends = {"q": np.append(line.ends, len(line.tokens)), "k": np.append(context.ends, len(context.tokens))}
        there["ends_there"] = {
            side: on_device(torch.from_numpy(each.astype(np.int32)), device) for side, each in ends.items()
        }
    return {
        **there,
        "cu_seq_lens_q": torch.from_numpy(line.ends),
        "cu_seq_lens_k": torch.from_numpy(context.ends),
        "max_length_q": padded_length(line.longest),
        "max_length_k": padded_length(context.longest),
    }


def _bias_table(attention: Any, reach: int) -> Tensor:
    """Bias by head, for distances from −reach to reach, [1, heads, 1, 2·reach + 1]."""
    distances = torch.arange(-reach, reach + 1, device=attention.relative_attention_bias.weight.device)
    buckets = attention._relative_position_bucket(
        distances,
        bidirectional=not attention.is_decoder,
        num_buckets=attention.relative_attention_num_buckets,
        max_distance=attention.relative_attention_max_distance,
    )
    table: Tensor = attention.relative_attention_bias(buckets)
    # Contiguous by head, as the scores are: adding a bias in another memory layout takes twenty times as long.
    return table.t().contiguous()[None, :, None]


def reads_lines(lm: LanguageModel) -> bool:
    """Whether the model can read flat lines: it computes each segment as if alone. Decided by a trial."""
    # The attention may have been changed since the trial.
    return keeps_segments_apart(lm) and lm.model.config._attn_implementation == NAME


@trait_by(lambda lm: lm.attention)
def keeps_segments_apart(lm: LanguageModel) -> bool:
    """Whether each segment of a line is computed as if alone, by a short trial; ``checks.isolation`` tests more."""
    if not install(lm.model):
        return False
    try:
        with quiet(lm.model):
            found, expected = _probe(lm)
    except FAILURES:
        return False
    found = found[: len(expected)]
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


def _probe(lm: LanguageModel) -> tuple[Tensor, Tensor]:
    """Hidden states of two segments, in one line and each alone."""
    model: Any = lm.model
    # One exceeds the length from which on the model computes positions differently.
    length = max(len(PROBE), outgrown(lm) + 3)
    texts = [np.resize(np.array(PROBE) % vocabulary(lm), length), np.array(PROBE[:3]) % vocabulary(lm)]
    tokens = np.concatenate(texts)[None].astype(np.int32)
    segments = np.repeat([1, 2], [length, 3])[None].astype(np.int32)
    inputs = [length - 3, 2]
    mutual = None
    if lm.reads_both_ways:
        mutual = np.concatenate([np.arange(len(text)) < count for text, count in zip(texts, inputs, strict=True)])[None]
    line = line_up(tokens, segments, mutual=mutual, is_padded=wants_padding(lm))
    rows = [torch.from_numpy(text)[None].to(lm.device) for text in texts]
    if lm.family == "decoder-only":
        expected = []
        for row, count in zip(rows, inputs, strict=True):
            forget_lengths(lm)
            own = {"attention_mask": prefix_mask(lm, inputs=count, length=row.shape[1])} if lm.reads_both_ways else {}
            expected.append(model.base_model(input_ids=row, use_cache=False, **own).last_hidden_state[0])
        with as_if_alone(lm, lambda: line.lengths):
            return model.base_model(**decoder_inputs(lm, line)).last_hidden_state[0], torch.cat(expected)
    expected = []
    for row in rows:
        shifted = torch.cat([row.new_full((1, 1), start_token(lm)), row[:, 1:]], dim=1)
        seen = model.get_encoder()(input_ids=row).last_hidden_state
        expected.append(
            model.get_decoder()(input_ids=shifted, encoder_hidden_states=seen, use_cache=False).last_hidden_state[0]
        )
    return t5_hidden(lm, line, line), torch.cat(expected)
