"""Values shared by many modules of training: a task's loss, and a non-finite step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from flantune.errors import TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLoss:
    """Loss of one task's target tokens.

    Attributes:
        nll: Sum of negative log-likelihoods, in nats.
        target_tokens: The number of these tokens.
    """

    nll: float = 0.0
    target_tokens: int = 0

    def __add__(self, other: TaskLoss) -> TaskLoss:
        return TaskLoss(nll=self.nll + other.nll, target_tokens=self.target_tokens + other.target_tokens)

    @property
    def mean(self) -> float:
        """Nats per token; NaN without tokens."""
        return self.nll / self.target_tokens if self.target_tokens else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class NonFinite:
    """What was not finite in a step, and which rows caused it.

    Attributes:
        step: Number of the step, counted from 1.
        what: The loss, or the gradient of a finite loss.
        rows: Source rows by task: those that caused it, or, if only the gradient overflowed, all rows of the step.
    """

    step: int
    what: Literal["loss", "gradient"]
    rows: Mapping[str, tuple[int, ...]]

    def error(self, *, skipped: int = 0) -> TrainingError:
        """The error that stops the run; ``skipped`` steps were skipped before it."""
        named = "; ".join(f"{task} rows {_some(numbers)}" for task, numbers in sorted(self.rows.items()))
        before = f" (steps left out before it: {skipped})" if skipped else ""
        return TrainingError(
            f"the {self.what} is not a finite number; in the batch: {named}{before}",
            where=f"training step {self.step}",
            hint="lower training.learning_rate, set training.max_grad_norm = 1.0, or look at these rows; "
            "training.skip_nonfinite leaves such steps out; the weights are those of the last checkpoint",
        )


def _some(numbers: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    return shown if len(numbers) <= 8 else f"{shown} and {len(numbers) - 8} more"
