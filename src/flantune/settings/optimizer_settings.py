"""The settings of each optimizer, in a separate section."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flantune.settings.sections import Section
from flantune.settings.setting_types import Factor, Positive, Rate, Switch, Whole


class AdafactorSettings(Section):
    """Adafactor's own settings. The defaults are T5X's."""

    decay_exponent: Factor = 0.8
    """How fast the averaging window of second moments grows."""
    step_offset: Annotated[Whole, Field(ge=-(10**9), le=0)] = 0
    """Subtracted from the step in the decay: with −1000, second moments decay as if 1,000 steps had been done. T5X
    continues pretraining's count and subtracts it here; flantune counts from 1."""
    clipping_threshold: Factor = 1.0
    """Largest root mean square of a tensor's update, before the rate."""
    parameter_scale: Switch = True
    """Multiply the rate by the root mean square of each tensor's weights."""
    min_dim_size_to_factor: Positive = 128
    """Matrices with a smaller side keep one second moment per weight."""


class AdamSettings(Section):
    """AdamW's own settings."""

    betas: tuple[Rate, Rate] = (0.9, 0.999)
    """How much of the mean and of the mean square of earlier gradients is kept at each step."""
    eps: Factor = 1e-8
    """Added to the root of the mean square."""
