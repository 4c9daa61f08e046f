"""The training loop: from batches to a tuned model, through any number of stops."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor

from flantune.errors import TrainingError
from flantune.models.forward import target_logprobs
from flantune.training.checkpoints import CheckpointFolder, Identity
from flantune.training.interrupts import Interrupt, deferred_interrupt
from flantune.training.log import MetricsLog
from flantune.training.objective import accumulate_gradient, check_finite, loss_by_task
from flantune.training.optimizers import build_optimizer, check_float32, set_learning_rate, trainable
from flantune.training.randomness import dropout, repeatable, seed_micro_batch
from flantune.training.schedules import learning_rate
from flantune.training.state import Step, TuningState, Window
from flantune.training.summary import Progress, TuningSummary

if TYPE_CHECKING:
    from flantune.config import TrainingSettings
    from flantune.models.load import LanguageModel
    from flantune.types import Batch, Pack


class BatchStream(Protocol):
    """Batches as a function of a cursor."""

    def iterate(self, cursor: int) -> Iterator[Batch]:
        """All batches from a cursor on; each begins where the one before it ended."""


def tune(
    lm: LanguageModel,
    batches: BatchStream,
    settings: TrainingSettings,
    *,
    folder: Path,
    seed: int,
    fingerprint: str,
    progress: Callable[[Progress], None] | None = None,
) -> TuningSummary:
    """Tunes the model in place. The same call again goes on where a stopped one was, to the bit.

    The model after the last step is the result: no held-out task has a say in it (this function cannot even see one).
    A finished run returns at once, with the tuned weights put into the model.

    Args:
        lm: Model with float32 weights; its ``compute_dtype`` decides about bfloat16 arithmetic.
        batches: Where the prompts come from.
        settings: Steps, optimizer, schedule and so on.
        folder: Gets ``checkpoints/``, ``metrics.jsonl`` and, where TensorBoard is installed, ``tensorboard/``.
        seed: Of the dropout; the draws have their own.
        fingerprint: Of all that shapes the weights and is not in ``settings``; a checkpoint with another one is not
            touched.
        progress: Told after each step.

    Returns:
        The run in numbers, all starts together.

    Raises:
        TrainingError: The loss is not finite, the disk is full, or the folder holds another run's checkpoints.
        KeyboardInterrupt: Ctrl-C, after a checkpoint was written.

    Paper: FLAN 2021, section 2.4.
    """
    check_float32(lm.model)
    identity = Identity(fingerprint=fingerprint, seed=seed, settings=settings.model_dump(mode="json"))
    checkpoints = CheckpointFolder(root=folder / "checkpoints", identity=identity, keep=settings.keep_checkpoints)
    optimizer = build_optimizer(lm.model, settings)
    state = checkpoints.restore(lm.model, optimizer)
    if state is not None and state.step >= settings.steps:
        return state.summary()
    with closing(MetricsLog(folder, after=state.step if state else 0)) as log:
        tuning = _Tuning(lm=lm, optimizer=optimizer, settings=settings, seed=seed, checkpoints=checkpoints, log=log)
        with (
            repeatable(lm.device),
            dropout(lm.model, settings.dropout),
            deferred_interrupt() as interrupt,
            _memory_explained(),
        ):
            return _run(tuning, batches, state, progress=progress, interrupt=interrupt).summary()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tuning:
    """What every step of one run needs."""

    lm: LanguageModel
    optimizer: torch.optim.Optimizer
    settings: TrainingSettings
    seed: int
    checkpoints: CheckpointFolder
    log: MetricsLog

    def logprobs(self, pack: Pack) -> Tensor:
        """The model's log-probability of each target token."""
        return target_logprobs(self.lm, pack).logprobs


def _run(
    tuning: _Tuning,
    batches: BatchStream,
    restored: TuningState | None,
    *,
    progress: Callable[[Progress], None] | None,
    interrupt: Interrupt,
) -> TuningState:
    """Takes the steps that are left."""
    state = start = restored or TuningState()
    if tuning.settings.steps == 0:
        return _save(tuning, state)
    with _closed_at_end(batches.iterate(state.cursor)) as stream:
        try:
            while state.step < tuning.settings.steps:
                state = state.after(_take_step(tuning, stream, number=state.step + 1, interrupt=interrupt))
                window = state.window
                state = _record(tuning, state)
                interrupt.is_whole = True
                if progress is not None:
                    progress(_progress(tuning.settings, state, window=window, start=start))
                interrupt.raise_if_requested()
        except KeyboardInterrupt:
            if interrupt.is_whole and state.step not in (0, *tuning.checkpoints.steps()):
                _save(tuning, state)
            raise
    return state


def _take_step(tuning: _Tuning, stream: Iterator[Batch], *, number: int, interrupt: Interrupt) -> Step:
    """One optimizer step: wait for a batch, sum its gradient, clip it, change the weights."""
    began = time.perf_counter()
    batch = next(stream, None)
    arrived = time.perf_counter()
    if batch is None:
        raise TrainingError("the stream of batches ended", where=f"training step {number}", hint="lower training.steps")
    tuning.optimizer.zero_grad(set_to_none=True)
    found = accumulate_gradient(
        batch,
        tuning.logprobs,
        device=tuning.lm.device,
        before_pack=lambda pack: seed_micro_batch(tuning.seed, step=number, number=pack),
    )
    grad_norm = _clip(tuning)
    check_finite(found, grad_norm, step=number, batch=batch)
    rate = learning_rate(number, tuning.settings)
    set_learning_rate(tuning.optimizer, rate)
    interrupt.is_whole = False
    tuning.optimizer.step()
    return Step(
        cursor=batch.next_cursor,
        loss=found.loss,
        tasks=loss_by_task(found, batch.tasks),
        learning_rate=rate,
        grad_norm=grad_norm,
        counts=batch.counts,
        seconds=time.perf_counter() - began,
        data_wait_seconds=arrived - began,
    )


def _clip(tuning: _Tuning) -> float:
    """Scales the gradient down to the largest norm allowed; returns the norm before."""
    weights = [weight for weight in trainable(tuning.lm.model).values() if weight.grad is not None]
    norm = torch.nn.utils.get_total_norm([cast("Tensor", weight.grad) for weight in weights])
    if tuning.settings.max_grad_norm > 0:
        torch.nn.utils.clip_grads_with_norm_(weights, tuning.settings.max_grad_norm, norm)
    return float(norm)


def _record(tuning: _Tuning, state: TuningState) -> TuningState:
    """Writes the metrics line and the checkpoint that are due, in this order: a checkpoint vouches for its lines."""
    settings = tuning.settings
    is_last = state.step == settings.steps
    if is_last or state.step % settings.log_every == 0:
        tuning.log.write(state.window.line(step=state.step, cursor=state.cursor, seconds=state.seconds))
        state = replace(state, final_loss=state.window.loss, window=Window())
    if is_last or state.step % settings.checkpoint_every == 0:
        state = _save(tuning, state)
    return state


def _save(tuning: _Tuning, state: TuningState) -> TuningState:
    state = replace(state, peak_memory_bytes=max(state.peak_memory_bytes, peak_memory_bytes(tuning.lm.device)))
    tuning.log.flush()
    tuning.checkpoints.save(tuning.lm.model, tuning.optimizer, state)
    return state


def _progress(settings: TrainingSettings, state: TuningState, *, window: Window, start: TuningState) -> Progress:
    seconds_a_step = (state.seconds - start.seconds) / (state.step - start.step)
    return Progress(
        step=state.step,
        steps=settings.steps,
        loss=window.loss,
        learning_rate=window.learning_rate,
        tokens_per_s=window.tokens_per_s,
        seconds=state.seconds,
        seconds_left=seconds_a_step * (settings.steps - state.step),
    )


def peak_memory_bytes(device: torch.device) -> int:
    """Highest memory so far: of the accelerator, or of this process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return peak if sys.platform == "darwin" else peak * 1024


@contextmanager
def _closed_at_end(stream: Iterator[Batch]) -> Iterator[Iterator[Batch]]:
    """Stops a generator's background work when the run ends, however it ends."""
    try:
        yield stream
    finally:
        if (close := getattr(stream, "close", None)) is not None:
            close()


@contextmanager
def _memory_explained() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        hint = "lower training.micro_batch_tokens: it changes memory and speed, never the gradient"
        raise TrainingError(f"the accelerator's memory is full: {error}", where="training", hint=hint) from error
