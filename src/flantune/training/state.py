"""The counts of a tuning run from step to step, stored with each checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flantune.packing.packs import Counts
from flantune.training.metrics_line import MeanLoss, MetricsLine
from flantune.training.tuning_summary import TuningProgress, TuningSummary
from flantune.training.values import NonFinite, TaskLoss

if TYPE_CHECKING:
    from flantune.settings.config import TrainingSettings


MEASURE = "loss"
"""The dev measure that decides: every task has it, with options or without."""


def is_better(measured: Mapping[str, float], best: float | None) -> bool:
    """Whether a dev measurement is better than all before; with ties the earlier step is kept.

    >>> is_better({"loss": 1.0}, None), is_better({"loss": 1.0}, 1.0), is_better({"loss": float("nan")}, None)
    (True, False, False)
    """
    found = measured.get(MEASURE, math.nan)
    return math.isfinite(found) and (best is None or found < best)


def by_cluster(tasks: Mapping[str, TaskLoss], clusters: Mapping[str, Sequence[str]]) -> dict[str, TaskLoss]:
    """Losses by cluster; a task of two clusters counts in both.

    >>> found = {"snli": TaskLoss(nll=1.0, target_tokens=2), "rte": TaskLoss(nll=2.0, target_tokens=1)}
    >>> by_cluster(found, {"snli": ["inference"], "rte": ["inference", "reading"]})["inference"]
    TaskLoss(nll=3.0, target_tokens=3)
    """
    found: dict[str, TaskLoss] = {}
    for name, loss in tasks.items():
        for cluster in clusters.get(name, ()):
            found[cluster] = found.get(cluster, TaskLoss()) + loss
    return dict(sorted(found.items()))


def mean_losses(found: Mapping[str, TaskLoss]) -> dict[str, MeanLoss]:
    """The mean losses, as in a metrics line."""
    return {name: MeanLoss(loss=loss.mean, target_tokens=loss.target_tokens) for name, loss in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One completed optimizer step.

    Attributes:
        loss: Loss before the step, in nats per target token.
        tasks: The same by task, as sums.
        grad_norm: Global norm of the gradient, before clipping.
        seconds: Duration of the step, including the wait for its batch.
        data_wait_seconds: Time waited for its batch.
        data_seconds: Seconds to make the batch, mostly while the model was computing.
        weighted_loss: What is differentiated: weighted as the run file says, z-loss included.
        skipped: What was not finite, so that the weights did not change.
        balance: Mean work of the processes over the work of the busiest.
        inputs: Loss of the input tokens, if they carry loss.
    """

    cursor: int
    loss: float
    tasks: dict[str, TaskLoss]
    learning_rate: float
    grad_norm: float
    counts: Counts
    seconds: float
    data_wait_seconds: float
    data_seconds: float = 0.0
    weighted_loss: float = 0.0
    skipped: NonFinite | None = None
    balance: float = 1.0
    inputs: TaskLoss = field(default_factory=TaskLoss)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The steps since the last metrics line, added up."""

    steps: int = 0
    tasks: dict[str, TaskLoss] = field(default_factory=dict)
    learning_rate: float = 0.0
    grad_norm: float = 0.0
    counts: Counts = field(default_factory=Counts)
    seconds: float = 0.0
    data_wait_seconds: float = 0.0
    data_seconds: float = 0.0
    weighted_loss: float = 0.0
    skipped: int = 0
    balance: float = 0.0
    inputs: TaskLoss = field(default_factory=TaskLoss)

    def after(self, step: Step) -> Window:
        """The window with one more step."""
        empty = TaskLoss()
        names = sorted({*self.tasks, *step.tasks})
        return Window(
            steps=self.steps + 1,
            tasks={name: self.tasks.get(name, empty) + step.tasks.get(name, empty) for name in names},
            learning_rate=step.learning_rate,
            # Non-finite values are reported once, in the step's error or note; sums of the window leave them out.
            grad_norm=self.grad_norm + (0.0 if step.skipped else step.grad_norm),
            weighted_loss=self.weighted_loss + (0.0 if step.skipped else step.weighted_loss),
            skipped=self.skipped + (step.skipped is not None),
            balance=self.balance + step.balance,
            inputs=self.inputs + step.inputs,
            counts=self.counts + step.counts,
            seconds=self.seconds + step.seconds,
            data_wait_seconds=self.data_wait_seconds + step.data_wait_seconds,
            data_seconds=self.data_seconds + step.data_seconds,
        )

    @property
    def loss(self) -> float:
        """Nats per target token; NaN if every step was left out."""
        return sum(self.tasks.values(), TaskLoss()).mean

    @property
    def tokens_per_s(self) -> float:
        """Real input and target tokens per second."""
        return speed(self.counts, self.seconds)

    @property
    def pipeline_tokens_per_s(self) -> float:
        """What the pipeline could deliver, one block of draws at a time; the model consumes ``tokens_per_s``."""
        return speed(self.counts, self.data_seconds)

    def line(
        self,
        *,
        step: int,
        cursor: int,
        seconds: float,
        clusters: Mapping[str, Sequence[str]] | None = None,
        measured: Mapping[str, float] | None = None,
    ) -> MetricsLine:
        """One line of ``metrics.jsonl``."""
        taken = self.steps - self.skipped
        return MetricsLine(
            step=step,
            cursor=cursor,
            loss=self.loss if self.tasks else None,
            weighted_loss=self.weighted_loss / taken if taken else None,
            learning_rate=self.learning_rate,
            grad_norm=self.grad_norm / taken if taken else None,
            skipped=self.skipped,
            prompts=self.counts.prompts,
            target_tokens=self.counts.target_tokens,
            input_tokens=self.counts.input_tokens,
            fill=self.counts.fill,
            tokens_per_s=self.tokens_per_s,
            seconds=seconds,
            pipeline_tokens_per_s=self.pipeline_tokens_per_s,
            data_wait_share=self.data_wait_seconds / self.seconds if self.seconds else 0.0,
            balance=self.balance / self.steps,
            tasks=mean_losses(self.tasks),
            clusters=mean_losses(by_cluster(self.tasks, clusters or {})),
            measured=measured or {},
            inputs_loss=self.inputs.mean if self.inputs.target_tokens else None,
            inputs_tokens=self.inputs.target_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningState:
    """Everything besides weights and optimizer that is needed to resume.

    Attributes:
        step: Optimizer steps done.
        cursor: Index of the first draw of the next batch.
        window: Steps not yet in a metrics line.
        skipped: Steps that were skipped because something was not finite.
        best_step: Step whose weights were best on dev rows, if dev rows decide which are kept.
        best_loss: The lowest loss on dev rows so far; None if not measured.
        looks_since_best: Dev measurements after that step.
    """

    step: int = 0
    cursor: int = 0
    counts: Counts = field(default_factory=Counts)
    seconds: float = 0.0
    data_wait_seconds: float = 0.0
    peak_memory_bytes: int = 0
    first_loss: float | None = None
    last_loss: float | None = None
    final_loss: float | None = None
    window: Window = field(default_factory=Window)
    skipped: tuple[NonFinite, ...] = ()
    best_step: int | None = None
    best_loss: float | None = None
    looks_since_best: int = 0

    def after(self, step: Step) -> TuningState:
        """The state with one more step."""
        return replace(
            self,
            step=self.step + 1,
            cursor=step.cursor,
            counts=self.counts + step.counts,
            seconds=self.seconds + step.seconds,
            data_wait_seconds=self.data_wait_seconds + step.data_wait_seconds,
            first_loss=self.first_loss if step.skipped or self.first_loss is not None else step.loss,
            last_loss=self.last_loss if step.skipped else step.loss,
            window=self.window.after(step),
            skipped=(*self.skipped, step.skipped) if step.skipped else self.skipped,
        )

    def looked(self, measured: Mapping[str, float], *, keeps: bool) -> TuningState:
        """The state after a dev measurement.

        Args:
            measured: The result.
            keeps: Whether the weights that do best on dev rows are kept.
        """
        if is_better(measured, self.best_loss):
            best_step = self.step if keeps else None
            return replace(self, best_step=best_step, best_loss=measured[MEASURE], looks_since_best=0)
        return replace(self, looks_since_best=self.looks_since_best + 1)

    def is_over(self, settings: TrainingSettings) -> bool:
        """Whether no step is left, or dev measurements have shown no progress for too long.

        >>> from flantune.settings.config import TrainingSettings
        >>> settings = TrainingSettings(steps=9, patience=2, measure_every=1)
        >>> [TuningState(step=3, looks_since_best=looks).is_over(settings) for looks in (1, 2)]
        [False, True]
        """
        return self.step >= settings.steps or 0 < settings.patience <= self.looks_since_best

    def progress(self, window: Window, *, steps: int, start: TuningState) -> TuningProgress:
        """The progress of tuning.

        Args:
            window: The steps since the last metrics line.
            steps: All steps.
            start: The state at the beginning of this start.
        """
        seconds_a_step = (self.seconds - start.seconds) / (self.step - start.step)
        return TuningProgress(
            step=self.step,
            steps=steps,
            loss=window.loss,
            learning_rate=window.learning_rate,
            tokens_per_s=window.tokens_per_s,
            pipeline_tokens_per_s=window.pipeline_tokens_per_s,
            seconds=self.seconds,
            seconds_left=seconds_a_step * (steps - self.step),
        )

    def summary(self) -> TuningSummary:
        """The summary of a finished run."""
        return TuningSummary(
            steps=self.step,
            cursor=self.cursor,
            counts=self.counts,
            seconds=self.seconds,
            data_wait_seconds=self.data_wait_seconds,
            tokens_per_s=speed(self.counts, self.seconds),
            peak_memory_bytes=self.peak_memory_bytes,
            first_loss=self.first_loss,
            last_loss=self.last_loss,
            final_loss=self.final_loss,
            skipped=self.skipped,
            kept_step=self.best_step,
        )


def speed(counts: Counts, seconds: float) -> float:
    """Real input and target tokens per second."""
    return (counts.input_tokens + counts.target_tokens) / seconds if seconds > 0 else 0.0
