"""Settings of what is trained instead of a model's weights: low-rank adapters or virtual tokens."""

from __future__ import annotations

from typing import Literal

from flantune.settings.sections import Section
from flantune.settings.setting_types import Factor, NameOrNames, Rate, Size, Switch


class LoraSettings(Section):
    """Low-rank adapters: small matrices beside the weights are trained, the weights stay as they are."""

    rank: Size = 16
    """Rank of the two matrices of each adapted layer."""
    alpha: Factor = 32.0
    """The adapters' output is multiplied by alpha / rank."""
    rank_stabilized: Switch = False
    """Multiply by alpha / √rank instead, so that high ranks learn as fast as low ones (rsLoRA)."""
    dora: Switch = False
    """Also train a scale for each output of a layer, separately from its direction (DoRA)."""
    b_rate_factor: Factor = 1.0
    """The learning rate of each adapter's second matrix, which starts at zero, is this many times higher (LoRA+:
    16)."""
    dropout: Rate = 0.0
    """Dropout before the adapters; `training.dropout` overrides it."""
    targets: NameOrNames = ("all-linear",)
    """Layers to adapt: "all-linear" (all but the head), or ends of their names such as ["q_proj", "v_proj"]."""


class PromptTuningSettings(Section):
    """Prompt tuning: only a few virtual tokens in front of every prompt are trained."""

    tokens: Size = 20
    """Number of virtual tokens. They count as input tokens."""
    start: Literal["vocabulary", "random"] = "vocabulary"
    """Start from embeddings of words drawn from the vocabulary, or from random numbers of their size."""
