"""How many weights a model has and what it costs to train it, known from its configuration alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from flantune.types import Family


def count_weights(config: PretrainedConfig, family: Family, *, trust_remote_code: bool = False) -> int:
    """Weights of the model that a configuration describes; none of them is made."""
    auto: Any = AutoModelForSeq2SeqLM if family == "encoder-decoder" else AutoModelForCausalLM
    own_code = {"trust_remote_code": True} if trust_remote_code else {}
    with torch.device("meta"):
        model = auto.from_config(config, **own_code)
    return sum(weight.numel() for weight in model.parameters())


def training_flops(weights: int, tokens: int, family: Family) -> float:
    """Floating-point operations of tuning, attention aside: six a weight and token that meet.

    In an encoder-decoder each token meets one of its two halves. So Flan 2022 counts (appendix E, table 22):

    >>> f"{training_flops(11_000_000_000, 14_000 * 64 * (2_048 + 512), 'encoder-decoder'):.1e}"
    '7.6e+19'
    """
    met = weights / 2 if family == "encoder-decoder" else weights
    return 6.0 * met * tokens
