"""A model with its tokenizer and how to compute with it, as used by everything that reads or trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from flantune.errors import ModelError
from flantune.models.arithmetic import COMPUTE_DTYPES
from flantune.models.transfer import on_device

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from flantune.types import Attention, Family

ATTENTION_KEY = "flantune_attention"
"""Key of a model's config that says how its inputs are read; without it: causally."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LowRank:
    """Low-rank adapters inside a model's layers.

    Attributes:
        wrapper: The ``peft.PeftModel`` around the model, which stores and merges.
        base: Digest of the model's own weights, the only ones the adapter fits; empty if unknown.
        rate_factors: Factor on the learning rate of a weight, by name; 1 for those not listed.
    """

    wrapper: Any
    base: str = ""
    rate_factors: Mapping[str, float] = field(default_factory=dict)


class VirtualTokens(nn.Module):
    """Embeddings in which ids beyond the vocabulary stand for trained vectors.

    A virtual token is thus a position like any other: packed, masked and counted with its prompt.
    """

    def __init__(self, words: nn.Module, vectors: Tensor, *, base: str = "") -> None:
        """Wraps the model's own embeddings.

        Args:
            words: The model's embeddings; they do not change.
            vectors: Initial vectors of the virtual tokens, [virtual tokens, width].
            base: Digest of the model's own weights; empty if unknown.
        """
        super().__init__()
        self.base = base
        self.words = words
        self.vectors = nn.Parameter(vectors.detach().clone().float())

    @property
    def weight(self) -> Tensor:
        """The embeddings of words, [vocabulary, width], which a head may share and which determine the known tokens."""
        weight: Tensor = self.words.weight  # type: ignore[assignment]
        return weight

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the virtual tokens, in order."""
        first = self.weight.shape[0]
        return tuple(range(first, first + self.vectors.shape[0]))

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids, [...], as vectors, [..., width]."""
        first = self.weight.shape[0]
        is_virtual = tokens >= first
        words: Tensor = self.words(tokens.masked_fill(is_virtual, 0))
        vectors = nn.functional.embedding((tokens - first).clamp(min=0), self.vectors)
        return torch.where(is_virtual[..., None], vectors.to(words.dtype), words)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LanguageModel:
    """A model with its tokenizer, and how to compute with it.

    Attributes:
        model: Any causal or T5-like model of the transformers library; weights float32.
        family: Decoder-only or encoder-decoder.
        device: Device of the weights.
        compute_dtype: Arithmetic of the forward and backward pass: float32, or bfloat16 by autocast.
        adapter: What is trained instead of the model's own weights, already part of the model; None: nothing.
        attention: How a decoder-only model reads its inputs. Its own forward is causal; "prefix" uses masks.

    Raises:
        ModelError: The dtype of weights or arithmetic is neither, such as float16, which overflows in T5 models.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    family: Family
    device: torch.device
    compute_dtype: torch.dtype = torch.float32
    adapter: LowRank | VirtualTokens | None = None
    attention: Attention = "causal"

    @property
    def reads_both_ways(self) -> bool:
        """Whether a decoder-only model's input tokens attend to each other in both directions (prefix attention)."""
        return self.attention == "prefix"

    @property
    def prefix_tokens(self) -> tuple[int, ...]:
        """Ids that come before every prompt's inputs: the virtual tokens of prompt tuning."""
        return self.adapter.ids if isinstance(self.adapter, VirtualTokens) else ()

    @property
    def rate_factors(self) -> Mapping[str, float]:
        """Factor on the learning rate of an adapter's weight, by name; 1 for those not listed."""
        return self.adapter.rate_factors if isinstance(self.adapter, LowRank) else {}

    def __post_init__(self) -> None:
        if self.compute_dtype not in COMPUTE_DTYPES.values():
            raise ModelError(
                f"cannot compute in {self.compute_dtype}: its range is too small, T5 models overflow",
                where="model.dtype",
                hint='set model.dtype = "auto", "bfloat16" or "float32"',
            )
        wrong = {str(p.dtype) for p in self.model.parameters() if p.is_floating_point() and p.dtype != torch.float32}
        if wrong:
            raise ModelError(
                f"the weights are {', '.join(sorted(wrong))}, expected torch.float32",
                where="model",
                hint="convert them with model.float(); model.dtype sets the arithmetic only",
            )


def embedded_tokens(model: Any) -> int:
    """Number of token ids that a model embeds: at least its vocabulary."""
    return int(model.get_input_embeddings().weight.shape[0])


def attention_of(config: Any) -> Attention:
    """How a model's inputs are read, by its config.

    Raises:
        ModelError: The config says neither "causal" nor "prefix".
    """
    found: object = getattr(config, ATTENTION_KEY, "causal")
    if found in ("causal", "prefix"):
        return found
    hint = f'set "{ATTENTION_KEY}" in its config.json to "causal" or "prefix", or leave it out'
    raise ModelError(f"its config asks for attention {found!r}", where="model", hint=hint)


def start_token(lm: LanguageModel) -> int:
    """The first token of an encoder-decoder's decoder.

    Raises:
        ModelError: Its config does not name it.
    """
    token = lm.model.config.decoder_start_token_id
    if token is None:
        hint = 'set "decoder_start_token_id" in its config.json'
        raise ModelError("the encoder-decoder has no decoder_start_token_id", where="model", hint=hint)
    return int(token)


def as_tensor(array: NDArray[np.integer[Any]], device: torch.device) -> Tensor:
    """Token ids, positions or indices as tensors for a model."""
    return on_device(torch.from_numpy(np.ascontiguousarray(array)), device).long()


def first_line(error: BaseException) -> str:
    """An error in one line; the name of its class if it has no message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
