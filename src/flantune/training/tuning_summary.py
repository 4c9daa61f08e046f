"""What a tuning run reports during and after tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flantune.packing.packs import Counts
from flantune.settings.json_file import plain
from flantune.training.values import NonFinite


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningProgress:
    """The progress of a tuning run, for a progress bar.

    Attributes:
        step: Optimizer steps done.
        steps: Total number of optimizer steps.
        loss: Mean negative log-likelihood of a target token, in nats, over the steps since the last metrics line.
        learning_rate: Rate of the last step.
        tokens_per_s: Real input and target tokens per second over the same steps.
        seconds: Seconds so far, including earlier starts of the same run.
        seconds_left: Estimate from the speed since this start.
        pipeline_tokens_per_s: What the data pipeline could deliver over the same steps; 0 if unknown.
    """

    step: int
    steps: int
    loss: float
    learning_rate: float
    tokens_per_s: float
    seconds: float
    seconds_left: float
    pipeline_tokens_per_s: float = 0.0

    def __str__(self) -> str:
        """One line for the terminal.

        >>> numbers = {"loss": 1.5, "learning_rate": 1e-3, "tokens_per_s": 1234.5, "seconds": 7, "seconds_left": 2}
        >>> print(TuningProgress(step=7, steps=9, **numbers))
        step 7/9, loss 1.500, 1,234 tokens/s, 2 s left
        >>> print(TuningProgress(step=7, steps=9, **numbers, pipeline_tokens_per_s=650_000.0))
        step 7/9, loss 1.500, 1,234 tokens/s (data pipeline: 650,000), 2 s left
        """
        speed = f"{self.tokens_per_s:,.0f} tokens/s"
        if self.pipeline_tokens_per_s:
            speed += f" (data pipeline: {self.pipeline_tokens_per_s:,.0f})"
        return f"step {self.step:,}/{self.steps:,}, loss {self.loss:.3f}, {speed}, {_duration(self.seconds_left)} left"


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningSummary:
    """The numbers of a finished tuning run.

    Attributes:
        steps: Optimizer steps done.
        cursor: Index of the first draw that was not used.
        counts: Everything that was laid out, dropped or shortened.
        seconds: Time spent in steps over all starts, without work lost to kills.
        data_wait_seconds: The part of it spent waiting for the next batch.
        tokens_per_s: Real input and target tokens per second.
        peak_memory_bytes: Highest memory use of any start: of the accelerator if there is one, otherwise of the
            process.
        first_loss: Loss of the first step, in nats per target token; None without steps.
        last_loss: Loss of the last step.
        final_loss: Loss over the steps of the last metrics line, which is less noisy.
        skipped: Steps that did not change the weights, because a loss or gradient was not finite.
        border_mismatch_share: Share of prompts whose inputs and targets have other tokens if tokenized together than if
            separately; None if not measured.
        processes: Processes that shared the work.
        arithmetic: "float32" or "bfloat16": what the dtype "auto" meant where the run ended; empty in older files.
        kept_step: Step whose weights are the result, if dev rows decided; None: the last step.
    """

    steps: int
    cursor: int
    counts: Counts
    seconds: float
    data_wait_seconds: float
    tokens_per_s: float
    peak_memory_bytes: int
    first_loss: float | None = None
    last_loss: float | None = None
    final_loss: float | None = None
    skipped: tuple[NonFinite, ...] = ()
    border_mismatch_share: float | None = None
    processes: int = 1
    arithmetic: str = ""
    kept_step: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values under the attributes' names, and ``fill``, both at the top and among the counts."""
        values: dict[str, Any] = plain(self)
        values["fill"] = values["counts"]["fill"] = self.counts.fill
        values["skipped_steps"] = len(self.skipped)
        return values


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
