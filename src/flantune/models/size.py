"""How many weights a model has, how many of them change, and what arithmetic it takes: known from its configuration."""

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
    """Numbers of a model.

    Attributes:
        weights: All of its own; an adapter's are not among them.
        trained: Those that change, an adapter's included.
        layers: Layers; of an encoder-decoder, those of one side.
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
    """The numbers of the model that a configuration describes; none of its weights is made.

    Args:
        config: The configuration.
        family: Decoder-only or encoder-decoder.
        settings: Says which adapter is trained in place of the weights.
        frozen: Names the weights that tuning leaves as they are.
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
    """A model with shapes and no numbers."""
    auto: Any = AutoModelForSeq2SeqLM if family == "encoder-decoder" else AutoModelForCausalLM
    own_code = {"trust_remote_code": True} if trust_remote_code else {}
    with torch.device("meta"):
        model: PreTrainedModel = auto.from_config(config, **own_code)
    return model


def count_weights(config: PretrainedConfig, family: Family, *, trust_remote_code: bool = False) -> int:
    """Weights of the model that a configuration describes; none of them is made."""
    model = empty_model(config, family, trust_remote_code=trust_remote_code)
    return sum(weight.numel() for weight in model.parameters())


def training_flops(weights: int, tokens: int, family: Family, *, trained: int | None = None) -> float:
    """Floating-point operations of tuning, attention aside: six a weight and token that meet.

    Two of the six are the forward pass, two carry the gradient back, and two make the gradient of each weight, which
    weights that stay as they are do not need. In an encoder-decoder each token meets one of the two halves. So Flan
    2022 counts (appendix E, table 22):

    >>> f"{training_flops(11_000_000_000, 14_000 * 64 * (2_048 + 512), 'encoder-decoder'):.1e}"
    '7.6e+19'

    Args:
        weights: Of the model.
        tokens: Inputs and targets.
        family: Decoder-only or encoder-decoder.
        trained: Weights that change; None: all.
    """
    changed = weights if trained is None else trained
    return (4.0 * weights + 2.0 * changed) * tokens / _halves(family)


def reading_flops(weights: int, tokens: int, family: Family) -> float:
    """Floating-point operations of a forward pass, attention aside: two a weight and token that meet.

    >>> f"{reading_flops(137_000_000_000, 1_000, 'decoder-only'):.1e}"
    '2.7e+14'
    """
    return 2.0 * weights * tokens / _halves(family)


def _halves(family: Family) -> int:
    return 2 if family == "encoder-decoder" else 1
