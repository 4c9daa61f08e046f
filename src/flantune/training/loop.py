"""The training loop: from batches to a tuned model, across any number of interruptions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor

from flantune.errors import TrainingError
from flantune.models.attention.door import why_not_program
from flantune.models.attention.lines import reads_lines
from flantune.models.checks.tuning import check_tuning
from flantune.models.digests import weights_digest
from flantune.models.embedding_noise import check_noise
from flantune.models.forms.compiled import why_not_compiled
from flantune.models.forms.training_form import TrainingForm
from flantune.models.forward import target_logprobs
from flantune.models.memory import is_out_of_memory, peak_memory_bytes
from flantune.system.processes import Processes, gone_explained, joined
from flantune.training.best_weights import BestWeights
from flantune.training.checkpoints import CheckpointFolder, Identity, warn
from flantune.training.division import Division, check_same, divide, hidden_size, sum_up
from flantune.training.freezing import freeze
from flantune.training.interrupts import Interrupt, deferred_interrupt
from flantune.training.log import MetricsLog
from flantune.training.loss import accumulate_gradient, find_nonfinite, loss_by_task
from flantune.training.optimizers import build_optimizer, check_float32, set_learning_rate, trainable
from flantune.training.randomness import dropout, embedding_noise, repeatable, seed_micro_batch, undisturbed
from flantune.training.schedules import learning_rate
from flantune.training.shared_gradients import add_gradients, share_weights
from flantune.training.state import Step, TuningState, Window, is_better
from flantune.training.tuning_summary import TuningProgress, TuningSummary
from flantune.training.values import TaskLoss
from flantune.training.whole_prompts import check_inputs_weight

if TYPE_CHECKING:
    from flantune.models.forward import TargetScores
    from flantune.models.language_model import LanguageModel
    from flantune.packing.packs import Batch
    from flantune.settings.config import TrainingSettings
    from flantune.training.sharding import Sharded


class BatchStream(Protocol):
    """Batches as a function of a cursor."""

    def iterate(self, cursor: int) -> Iterator[Batch]:
        """All batches from a cursor on; each begins where the previous one ended."""


def tune(
    lm: LanguageModel,
    batches: BatchStream,
    settings: TrainingSettings,
    *,
    folder: Path,
    seed: int,
    fingerprint: str,
    progress: Callable[[TuningProgress], None] | None = None,
    clusters: Mapping[str, Sequence[str]] | None = None,
    measure: Callable[[int], Mapping[str, float]] | None = None,
    note: Callable[[str], None] = warn,
) -> TuningSummary:
    """Tunes the model in place. Repeating the call resumes a stopped run, bit for bit.

    The model after the last step is the result, or with ``keep = "best-dev"`` the one for which ``measure`` found the
    lowest loss: no held-out task influences it (this function has no access to any).
    For a finished run it returns immediately, with the tuned weights in the model.

    Under ``torchrun`` every process makes this call: they share each step's micro-batches and end with the same
    weights. Only the first one writes; all of them must be able to read ``folder``.

    Args:
        lm: Model with float32 weights; its ``compute_dtype`` selects bfloat16 arithmetic.
        batches: Yields the prompts.
        settings: Steps, optimizer, schedule and so on.
        folder: Gets ``checkpoints/`` and ``metrics.jsonl``.
        seed: Seed of the dropout; the draws have their own.
        fingerprint: Of everything that determines the weights and is not in ``settings``; a checkpoint with a different
            one is not touched.
        progress: Called after each step (in the first process).
        clusters: Clusters of each task, for losses by cluster.
        measure: Called with the step every ``settings.measure_every`` steps, in every process, with the current model
            and without dropout; its result only goes into that step's metrics line.
        note: Called (in the first process) with messages for the user: that a checkpoint is damaged, or that the model
            cannot be compiled. By default a Python warning.

    Returns:
        A summary of the run, over all its starts.

    Raises:
        TrainingError: The loss is not finite, the disk is full, or the folder has another run's checkpoints, or only
            damaged ones.
        KeyboardInterrupt: Ctrl-C, after a checkpoint was written.

    Paper: FLAN 2021, section 2.4.
    """
    with _set_up(
        lm, settings, folder, seed=seed, fingerprint=fingerprint, clusters=clusters or {}, measure=measure, note=note
    ) as tuning:
        restored = tuning.checkpoints.restore(tuning.lm.model, tuning.optimizer)
        start = state = restored or TuningState()
        if restored is not None and start.is_over(settings):
            tuning.best.chosen = start.best_step
            return start.summary()
        with _ready(tuning, folder, step=start.step) as ready, _closed_at_end(batches.iterate(start.cursor)) as stream:
            try:
                while not state.is_over(settings):
                    state = state.after(_take_step(tuning, stream, state=state, interrupt=ready.interrupt))
                    window = state.window
                    state = _record(tuning, state, ready.log)
                    ready.interrupt.is_whole = True
                    if progress is not None and tuning.processes.is_first:
                        progress(state.progress(window, steps=settings.steps, start=start))
                    # Pressed in one process, it stops all of them at the same step.
                    if tuning.processes.any(ready.interrupt.is_requested):
                        raise KeyboardInterrupt
            except KeyboardInterrupt:
                is_kept = state.step == start.step or _is_due(state, settings.checkpoint_every, settings)
                if ready.interrupt.is_whole and not is_kept:
                    _save(tuning, state, ready.log)
                raise
            tuning.best.chosen = state.best_step
            return (state if settings.steps else _save(tuning, state, ready.log)).summary()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tuning:
    """Everything that the steps of a run need."""

    lm: LanguageModel
    optimizer: torch.optim.Optimizer
    form: TrainingForm
    settings: TrainingSettings
    seed: int
    checkpoints: CheckpointFolder
    processes: Processes
    sharded: Sharded | None
    scores: Callable[..., TargetScores]
    clusters: Mapping[str, Sequence[str]]
    measure: Callable[[int], Mapping[str, float]] | None
    best: BestWeights


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Ready:
    """The resources that are open during the steps."""

    log: MetricsLog | None
    interrupt: Interrupt


@contextmanager
def _set_up(
    lm: LanguageModel,
    settings: TrainingSettings,
    folder: Path,
    *,
    seed: int,
    fingerprint: str,
    clusters: Mapping[str, Sequence[str]],
    measure: Callable[[int], Mapping[str, float]] | None,
    note: Callable[[str], None],
) -> Iterator[_Tuning]:
    """Prepares the steps; after the last one the model has the tuned weights, even if they were sharded."""
    check_float32(lm.model)
    check_inputs_weight(
        settings, family=lm.family, reads_both_ways=lm.reads_both_ways, has_virtual_tokens=bool(lm.prefix_tokens)
    )
    check_noise(settings.neftune_alpha, lm.family)
    freeze(lm.model, settings.freeze)
    with joined() as processes, gone_explained(processes), _memory_explained():
        share_weights(list(lm.model.parameters()), processes)
        identity = Identity(
            fingerprint=fingerprint,
            seed=seed,
            settings=settings.model_dump(mode="json"),
            frozen=weights_digest(lm.model, frozen_only=True),
        )
        if processes.is_first:
            _tell_what_is_not(lm, settings, note)
        is_sharded = settings.parallel == "sharded" and processes.count > 1
        used, optimizer, sharded = _in_parts(lm, settings) if is_sharded else (lm, _optimizer(lm, settings), None)
        score = partial(target_logprobs, used) if sharded is None else sharded.scores
        best = BestWeights(path=folder / "checkpoints" / "best.safetensors")
        yield _Tuning(
            lm=used,
            optimizer=optimizer,
            form=TrainingForm(used, is_compiled=settings.compile, keeps_inputs_only=settings.activation_checkpointing),
            settings=settings,
            seed=seed,
            checkpoints=CheckpointFolder(
                root=folder / "checkpoints",
                identity=identity,
                keep=settings.keep_checkpoints,
                processes=processes,
                is_sharded=is_sharded,
                note=note,
            ),
            processes=processes,
            sharded=sharded,
            scores=partial(score, with_logsumexp=settings.z_loss > 0, with_mean=settings.label_smoothing > 0),
            clusters=clusters,
            measure=measure,
            best=best,
        )
        if sharded is not None:
            sharded.fill()
        if best.chosen is not None:
            best.restore(lm.model, step=best.chosen)


def _tell_what_is_not(lm: LanguageModel, settings: TrainingSettings, note: Callable[[str], None]) -> None:
    """Reports settings that this model or machine does not support, if that does not change results."""
    if settings.compile and (reason := why_not_compiled(lm)):
        note(f"the model is not compiled: {reason}")
    is_meant = lm.device.type == "cpu" or lm.compute_dtype == torch.bfloat16
    if is_meant and (reason := why_not_program(lm.compute_dtype, lm.device.type)):
        note(f"attention is computed by PyTorch, not by a faster kernel: {reason}")


def _in_parts(lm: LanguageModel, settings: TrainingSettings) -> tuple[LanguageModel, torch.optim.Optimizer, Sharded]:
    # Saves a single process a second of imports.
    from flantune.training.sharding import shard, sharded_optimizer

    sharded = shard(lm)
    return sharded.lm, sharded_optimizer(_optimizer(sharded.lm, settings)), sharded


def _optimizer(lm: LanguageModel, settings: TrainingSettings) -> torch.optim.Optimizer:
    return build_optimizer(lm.model, settings, rate_factors=lm.rate_factors)


@contextmanager
def _ready(tuning: _Tuning, folder: Path, *, step: int) -> Iterator[_Ready]:
    """Opens the log, sets the model to deterministic training, and defers Ctrl-C."""
    settings, alone = tuning.settings, tuning.processes.count == 1
    with ExitStack() as stack:
        log = None
        if tuning.processes.is_first:
            log = stack.enter_context(closing(MetricsLog(folder, after=step, note=tuning.checkpoints.note)))
        stack.enter_context(repeatable(tuning.lm.device))
        recomputes = settings.activation_checkpointing
        stack.enter_context(dropout(tuning.lm.model, settings.dropout, recomputes=recomputes))
        if tuning.sharded is None:
            # Compiling takes half a minute, so the uncompiled model is tested.
            check_tuning(tuning.lm, form=None if settings.compile else tuning.form, is_still=settings.dropout == 0.0)
        yield _Ready(log=log, interrupt=stack.enter_context(deferred_interrupt(is_alone=alone)))


def _take_step(tuning: _Tuning, stream: Iterator[Batch], *, state: TuningState, interrupt: Interrupt) -> Step:
    """One optimizer step: wait for a batch, sum its gradient over all processes, clip it, update the weights."""
    number = state.step + 1
    began = time.perf_counter()
    batch = next(stream, None)
    arrived = time.perf_counter()
    if batch is None:
        raise TrainingError("the stream of batches ended", where=f"training step {number}", hint="lower training.steps")
    part = _own_part(tuning, batch)
    tuning.optimizer.zero_grad(set_to_none=True)
    noise = embedding_noise(tuning.settings.neftune_alpha, seed=tuning.seed, step=number)
    with tuning.form.in_place():
        found = accumulate_gradient(
            part.batch,
            partial(tuning.scores, noise=noise),
            device=tuning.lm.device,
            weighting=tuning.settings.weighting,
            z_loss=tuning.settings.z_loss,
            inputs_weight=tuning.settings.inputs_weight,
            label_smoothing=tuning.settings.label_smoothing,
            numbers=part.numbers,
            before_pack=lambda pack: seed_micro_batch(tuning.seed, step=number, number=pack),
        )
    if tuning.sharded is None:
        add_gradients(list(trainable(tuning.lm.model).values()), tuning.processes)
    found = sum_up(found, tuning.processes)
    grad_norm = _clip(tuning)
    bad = find_nonfinite(found, grad_norm, step=number, batch=batch)
    if bad is not None and len(state.skipped) >= tuning.settings.skip_nonfinite:
        raise bad.error(skipped=len(state.skipped))
    rate = learning_rate(number, tuning.settings)
    set_learning_rate(tuning.optimizer, rate)
    interrupt.is_whole = False
    if bad is None:
        tuning.optimizer.step()
    return Step(
        cursor=batch.next_cursor,
        loss=found.loss,
        weighted_loss=found.weighted_loss,
        skipped=bad,
        tasks=loss_by_task(found, batch.tasks),
        inputs=TaskLoss() if bad else found.inputs,
        learning_rate=rate,
        grad_norm=grad_norm,
        counts=batch.counts,
        seconds=time.perf_counter() - began,
        data_wait_seconds=arrived - began,
        data_seconds=batch.seconds,
        balance=part.balance,
    )


def _own_part(tuning: _Tuning, batch: Batch) -> Division:
    """This process's part of a step."""
    check_same(batch, tuning.processes)
    return divide(
        batch,
        tuning.processes,
        hidden_size=hidden_size(tuning.lm.model),
        is_padded=not reads_lines(tuning.lm),
        in_rounds=tuning.sharded is not None,
    )


def _clip(tuning: _Tuning) -> float:
    """Scales the gradient down to the largest norm allowed; returns the norm before."""
    weights = [weight for weight in trainable(tuning.lm.model).values() if weight.grad is not None]
    norm = torch.nn.utils.get_total_norm([cast("Tensor", weight.grad) for weight in weights])
    if tuning.settings.max_grad_norm > 0:
        torch.nn.utils.clip_grads_with_norm_(weights, tuning.settings.max_grad_norm, norm)
    whole: Tensor = norm if tuning.sharded is None else cast("Any", norm).full_tensor()
    return float(whole)


def _record(tuning: _Tuning, state: TuningState, log: MetricsLog | None) -> TuningState:
    """Writes the metrics line, then the checkpoint, that are due; a checkpoint relies on its lines."""
    settings = tuning.settings
    measured = _measure(tuning, state) if _is_due(state, settings.measure_every, settings) else None
    if measured is not None:
        state = state.looked(measured, keeps=settings.keep == "best-dev")
    if measured is not None or _is_due(state, settings.log_every, settings):
        if log is not None:
            line = state.window.line(
                step=state.step,
                cursor=state.cursor,
                seconds=state.seconds,
                clusters=tuning.clusters,
                measured=measured,
            )
            log.write(line)
        final_loss = state.window.loss if state.window.tasks else state.final_loss
        state = replace(state, final_loss=final_loss, window=Window())
    if _is_due(state, settings.checkpoint_every, settings):
        state = _save(tuning, state, log)
    return state


def _is_due(state: TuningState, every: int, settings: TrainingSettings) -> bool:
    """Whether this step is one of those, or the last; never when ``every`` is 0."""
    return every > 0 and (state.step % every == 0 or state.is_over(settings))


def _measure(tuning: _Tuning, state: TuningState) -> dict[str, float] | None:
    """Calls ``measure`` on the current model; saves its weights if they are the best so far."""
    if tuning.measure is None:
        return None
    sharded = tuning.sharded
    with nullcontext(tuning.lm) if sharded is None else sharded.filled() as lm, undisturbed(lm.model, lm.device):
        measured = dict(tuning.measure(state.step))
        if tuning.settings.keep == "best-dev" and is_better(measured, state.best_loss):
            tuning.processes.first(lambda: tuning.best.save(lm.model, step=state.step))
        return measured


def _save(tuning: _Tuning, state: TuningState, log: MetricsLog | None) -> TuningState:
    state = replace(state, peak_memory_bytes=max(state.peak_memory_bytes, peak_memory_bytes(tuning.lm.device)))
    if log is not None:
        log.flush()
    tuning.checkpoints.save(tuning.lm.model, tuning.optimizer, state)
    return state


@contextmanager
def _closed_at_end(stream: Iterator[Batch]) -> Iterator[Iterator[Batch]]:
    """Stops a generator's background work at the end of the run, however it ends."""
    try:
        yield stream
    finally:
        if (close := getattr(stream, "close", None)) is not None:
            close()


@contextmanager
def _memory_explained() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        hint = "lower training.micro_batch_tokens: it changes memory and speed, never the gradient"
        raise TrainingError(f"memory is full: {error}", where="training", hint=hint) from error
