"""The learning rate of each step, as a pure function, with no state to store or resume."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flantune.settings.config import TrainingSettings


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """The rate of one optimizer step.

    The warm-up reaches the peak at step ``warmup_steps``; the next step is the first of the actual schedule. No step
    has the rate 0, which would have no effect: "linear" and "cosine" would reach 0 one step after the last.

    Args:
        step: Number of the step, counted from 1.
        settings: Peak rate, schedule, warm-up steps and total steps.

    >>> from flantune.settings.config import TrainingSettings
    >>> settings = TrainingSettings(steps=6, warmup_steps=2, learning_rate=1.0, schedule="linear")
    >>> [learning_rate(step, settings) for step in range(1, 7)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]

    "inverse_sqrt" keeps the peak up to step ``inverse_sqrt_after`` and then falls as 1/√step. With a peak of 0.01 and
    10,000 steps it is min(0.01, 1/√step): the schedule of T5's pretraining, and Adafactor's relative step size.

    >>> settings = TrainingSettings(schedule="inverse_sqrt", learning_rate=0.01)
    >>> [round(learning_rate(step, settings), 5) for step in (1, 10_000, 40_000)]
    [0.01, 0.01, 0.005]

    Paper: FLAN 2021, section 2.4 and FLAN 2022, section 2.2 tune at a constant rate; T5 2019, section 3.1.2 has the
    inverse square root.
    """
    if step <= settings.warmup_steps:
        return settings.learning_rate * step / settings.warmup_steps
    return settings.learning_rate * _share_of_peak(step, settings)


def _share_of_peak(step: int, settings: TrainingSettings) -> float:
    if settings.schedule == "constant":
        return 1.0
    if settings.schedule == "inverse_sqrt":
        held = max(settings.inverse_sqrt_after, settings.warmup_steps)
        return math.sqrt(held / max(step, held))
    passed = (step - 1 - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    if settings.schedule == "linear":
        return 1.0 - passed
    return 0.5 * (1.0 + math.cos(math.pi * passed))
