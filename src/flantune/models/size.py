"""A model's number of weights, how many of them are trained, and its arithmetic, all from its configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from flantune.models.adapters import adapted_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PretrainedConfig, PreTrainedModel

    from flantune.settings.config import ModelSettings
    from flantune.types import Family


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """The size of a model.

    Attributes:
        weights: All of the model's own weights, without an adapter's.
        trained: Number of trained weights, including an adapter's.
        layers: Number of layers; for an encoder-decoder, those of one side.
        family: Decoder-only or encoder-decoder.
    """

    weights: int
    trained: int
    layers: int
    family: Family


def measure_size(
    config: PretrainedConfig,
    family: Family,
    settings: ModelSettings,
    *,
    frozen: Callable[[PreTrainedModel], frozenset[str]] = lambda _: frozenset(),
) -> ModelSize:
    """The size of the model that a configuration describes; no weights are allocated.

    Args:
        config: The configuration.
        family: Decoder-only or encoder-decoder.
        settings: Say which adapter is trained instead of the weights.
        frozen: Names the weights that tuning does not change.
    """
    model = empty_model(config, family, trust_remote_code=settings.trust_remote_code)
    weights = {name: weight.numel() for name, weight in model.named_parameters()}
    if settings.adapter == "none":
        still = frozen(model)
        trained = sum(size for name, size in weights.items() if name not in still)
    else:
        trained = adapted_weights(model, settings)
    total = sum(weights.values())
    return ModelSize(weights=total, trained=trained, layers=config.num_hidden_layers, family=family)


def empty_model(config: PretrainedConfig, family: Family, *, trust_remote_code: bool = False) -> PreTrainedModel:
    """A model on the meta device: shapes without numbers."""
    auto: Any = AutoModelForSeq2SeqLM if family == "encoder-decoder" else AutoModelForCausalLM
    own_code = {"trust_remote_code": True} if trust_remote_code else {}
    with torch.device("meta"):
        model: PreTrainedModel = auto.from_config(config, **own_code)
    return model


def count_weights(config: PretrainedConfig, family: Family, *, trust_remote_code: bool = False) -> int:
    """The number of weights of the model that a configuration describes; none are allocated."""
    model = empty_model(config, family, trust_remote_code=trust_remote_code)
    return sum(weight.numel() for weight in model.parameters())


def training_flops(weights: int, tokens: int, family: Family, *, trained: int | None = None) -> float:
    """Floating-point operations of tuning, without attention: six per weight and token that it processes.

    Two of the six are the forward pass, two propagate the gradient back, and two compute the gradient of each weight,
    which frozen weights do not need. In an encoder-decoder each token passes through one of the two halves. Flan 2022
    counts in this way (appendix E, table 22):

    >>> f"{training_flops(11_000_000_000, 14_000 * 64 * (2_048 + 512), 'encoder-decoder'):.1e}"
    '7.6e+19'

    Args:
        weights: Number of weights of the model.
        tokens: Number of tokens, inputs and targets.
        family: Decoder-only or encoder-decoder.
        trained: Number of trained weights; None: all.
    """
    changed = weights if trained is None else trained
    return (4.0 * weights + 2.0 * changed) * tokens / _halves(family)


def reading_flops(weights: int, tokens: int, family: Family) -> float:
    """Floating-point operations of a forward pass, without attention: two per weight and token that it processes.

    >>> f"{reading_flops(137_000_000_000, 1_000, 'decoder-only'):.1e}"
    '2.7e+14'
    """
    return 2.0 * weights * tokens / _halves(family)


def _halves(family: Family) -> int:
    return 2 if family == "encoder-decoder" else 1
