"""Prompts as arrays: the values passed from encoding to packing, and from packing to the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flantune.types import Int32

if TYPE_CHECKING:
    # Shapes in signatures; only tests compare them with real arrays.
    from jaxtyping import Int


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPrompt:
    """A prompt as token ids, inputs and targets separately, with special tokens.

    Decoder-only: ``inputs`` is BOS (if the tokenizer adds one), the text and the separator; encoder-decoder: the text
    and EOS. In both, each of ``targets`` ends with EOS.

    Attributes:
        inputs: Token ids of the context, shape [n].
        targets: One entry per continuation, each [m_k]: exactly one in training, one per option in rank classification.
        contexts: If continuations follow different contexts, the context of each; empty: all follow ``inputs``.
    """

    inputs: Int[Int32, " tokens"]
    targets: tuple[Int32, ...]
    contexts: tuple[Int32, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetTokens:
    """The target tokens of a pack and the positions that predict them: parallel arrays, one entry per token.

    The hidden state at ``position`` predicts ``token``. That position is not always directly left of the token, since
    several continuations can branch off one context.

    Attributes:
        row: Row of the pack, shape [n].
        position: Position in that row whose output predicts the token, shape [n].
        token: The token id to predict, shape [n].
        item: Which continuation of the batch it belongs to, shape [n]; numbered from 0 across the whole batch.
    """

    row: Int[Int32, " targets"]
    position: Int[Int32, " targets"]
    token: Int[Int32, " targets"]
    item: Int[Int32, " targets"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderPack:
    """Prompts side by side in rows, for a decoder-only model. All arrays except targets are [rows, length].

    A token attends to an earlier token of its row if both have the same ``segments`` value (> 0; 0 is padding) and the
    earlier one is on the trunk (``branches`` 0) or on the same branch. A segment is one prompt; branch k > 0 is its
    k-th continuation if there are several (options); a single training target is on the trunk.
    """

    tokens: Int[Int32, "rows length"]
    positions: Int[Int32, "rows length"]
    segments: Int[Int32, "rows length"]
    branches: Int[Int32, "rows length"]
    targets: TargetTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderDecoderPack:
    """Prompts side by side in rows, for an encoder-decoder model.

    Encoder tokens attend to the encoder tokens of their segment. Decoder tokens attend to earlier decoder tokens with
    the same ``decoder_segments`` value, and to encoder tokens whose segment equals their ``decoder_contexts`` value, so
    that several continuations share one encoded context. 0 is padding everywhere.

    Attributes:
        encoder_tokens: [rows, encoder length].
        encoder_segments: [rows, encoder length].
        decoder_tokens: [rows, decoder length], each continuation shifted right after the start token.
        decoder_segments: [rows, decoder length].
        decoder_contexts: [rows, decoder length].
        targets: The target tokens.
    """

    encoder_tokens: Int[Int32, "rows read"]
    encoder_segments: Int[Int32, "rows read"]
    decoder_tokens: Int[Int32, "rows written"]
    decoder_segments: Int[Int32, "rows written"]
    decoder_contexts: Int[Int32, "rows written"]
    targets: TargetTokens


Pack = DecoderPack | EncoderDecoderPack


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What happened to prompts on their way into arrays; counts can be added.

    Attributes:
        prompts: Prompts laid out.
        input_tokens: Real input tokens (encoder side, or context of a decoder-only row).
        target_tokens: Real target tokens, each of which carries loss.
        positions: Positions computed, including padding if the model computes it.
        exemplars_dropped: Exemplars left out to meet the token budget.
        inputs_shortened: Prompts whose inputs were cut.
        prompts_dropped: Prompts left out, since their target alone exceeds the budget.
        borders_merged: Prompts in which a token spans the border of inputs and option, if tokenized together.
        answers_unknown: Prompts with an answer or option that the tokenizer cannot represent: it has the unknown token.
        options_alike: Prompts with two different options that have the same tokens, so that they always tie.
    """

    prompts: int = 0
    input_tokens: int = 0
    target_tokens: int = 0
    positions: int = 0
    exemplars_dropped: int = 0
    inputs_shortened: int = 0
    prompts_dropped: int = 0
    borders_merged: int = 0
    answers_unknown: int = 0
    options_alike: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in Counts.__slots__})

    @property
    def fill(self) -> float:
        """Share of the positions computed that have a real token, between 0 and 1."""
        return (self.input_tokens + self.target_tokens) / self.positions if self.positions else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One optimizer step's worth of prompts.

    Attributes:
        cursor: Index of the first draw in the batch.
        next_cursor: Index of the first draw of the next batch: the one integer that resumes the stream.
        packs: Micro-batches, in order; their gradients are summed.
        tasks: Task name of each item (see ``TargetTokens.item``).
        rows: Source row of each item.
        counts: What was laid out.
        seconds: Seconds it took to make, from rendering to arrays.
    """

    cursor: int
    next_cursor: int
    packs: tuple[Pack, ...]
    tasks: tuple[str, ...]
    rows: tuple[int, ...]
    counts: Counts
    seconds: float = field(default=0.0, compare=False)
