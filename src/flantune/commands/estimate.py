"""The cost of a run file: from its tasks, mixture and questions, by the cost model."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from flantune.commands.looked import Looked
from flantune.commands.plan import make_mixture, make_stream, planned_reader, prepare_tasks, split_fold
from flantune.commands.planned_steps import few_steps, planned
from flantune.commands.rehearsal import rehearse
from flantune.errors import ModelError
from flantune.mixture.holdout import run_folds
from flantune.models.arithmetic import arithmetic
from flantune.models.devices import HERE, Devices, parse_devices
from flantune.models.load import resolve_device
from flantune.models.size import ModelSize, measure_size
from flantune.packing.batches import Batches
from flantune.packing.packs import Counts
from flantune.studies.estimate import (
    AskedTask,
    RunCost,
    Speed,
    detectable_before,
    measuring_load,
    memory_of,
    speed_of,
    training_load,
)
from flantune.system.progress import Reporter, Silent
from flantune.training.freezing import meant_by

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flantune.packing.packs import Batch
    from flantune.settings.config import ModelSettings, TrainingSettings
    from flantune.settings.run_file import RunFile

_BATCHES = 4


def estimate_run(
    file: RunFile, *, cache: Path, device: str = "", speed: Speed | None = None, reporter: Reporter | None = None
) -> RunCost:
    """The cost of a whole run; nothing is trained, and no weights are read.

    Args:
        file: The run file.
        cache: Folder for adapted examples, unless the run file names one.
        device: "here" measures this machine; otherwise named devices, such as "h100:8"; empty: no time.
        speed: The device's speed, if already known, say from another arm with the same model.
        reporter: Gets the progress.

    Raises:
        FlantuneError: Anything that would stop the run itself.
    """
    config = file.config
    prepared, _ = prepare_tasks(config, root=file.root, cache=config.data.cache or cache)
    folds = [split_fold(config, [one.task for one in prepared], fold) for fold in run_folds(config.holdout)]
    reader = planned_reader(config, prepared)
    mixture = make_mixture(config, prepared, folds[0])
    looked = Looked(
        config=config,
        prepared=prepared,
        folds=folds,
        mixture=mixture,
        stream=make_stream(config, mixture, reader),
        reader=reader,
    )
    return estimate_cost(looked, device=device, speed=speed, reporter=reporter)


def estimate_cost(
    looked: Looked, *, device: str = "", speed: Speed | None = None, reporter: Reporter | None = None
) -> RunCost:
    """The cost of an inspected run; see ``estimate_run``.

    Raises:
        ModelError: There is no such model.
        PackingError: None of many prompts in a row fits.
        ConfigError: There is no such device.
    """
    config = looked.config
    if config.training.epochs:
        config = config.model_copy(update={"training": planned_training(looked)})
    devices = parse_devices(device) if device not in ("", HERE) else None
    batches = _first_batches(looked)
    counts, cursor = sum((batch.counts for batch in batches), Counts()), batches[-1].next_cursor
    steps, size = config.training.steps, _size(looked)
    folds = looked.fold_works()
    benchmarks = looked.benchmarks()
    asked = [task for fold in folds for task in (*fold.tasks, *benchmarks)]
    base = list({task.name: task for task in asked}.values())
    notes: tuple[str, ...] = ()
    if speed is None and devices is not None:
        recomputes, rows = config.training.activation_checkpointing, _side_by_side(looked, asked)
        speed = speed_of(devices, size, recomputes=recomputes, rows=rows)
    elif speed is None and device == HERE:
        speed, notes = _tried(looked, reporter or Silent())
    tokens = round((counts.input_tokens + counts.target_tokens) / len(batches) * steps) * max(1, len(folds))
    memory = memory_of(
        config.model_copy(update={"model": _with_arithmetic(config.model, devices)}),
        size,
        devices=devices.count if devices else 1,
        activation_bytes=speed.activation_bytes if speed else 0.0,
    )
    return RunCost(
        weights=size.weights,
        trained=size.trained,
        folds=len(folds),
        steps=steps,
        prompts_a_step=counts.prompts / len(batches),
        fill=counts.fill,
        draws=round(cursor / len(batches) * steps),
        training=training_load(size, tokens, speed),
        questions=sum(task.questions for task in (*base, *asked)),
        base=measuring_load(size, base, speed, is_tuned=False),
        tuned=measuring_load(size, asked, speed, is_tuned=True),
        memory=memory,
        speed=speed,
        device=_device_name(devices, speed),
        fits=None if memory is None or devices is None else memory.total <= devices.device.memory,
        detectable=detectable_before(folds, confidence=config.evaluation.confidence),
        holds_out=any(fold.held_out for fold in folds),
        notes=notes,
    )


def _with_arithmetic(settings: ModelSettings, devices: Devices | None) -> ModelSettings:
    """The settings with the arithmetic that they mean on these devices, or on this machine."""
    if settings.dtype != "auto":
        return settings
    with suppress(ModelError):  # no such device here: an accelerator elsewhere
        if devices is None and arithmetic("auto", resolve_device(settings.device)) == torch.float32:
            return settings.model_copy(update={"dtype": "float32"})
    return settings.model_copy(update={"dtype": "bfloat16"})


def planned_training(looked: Looked) -> TrainingSettings:
    """The training settings with the steps that a run would take."""
    return planned(looked.config.training, looked.mixture, Batches(looked.stream, looked.config.packing))


def planned_few_steps(looked: Looked) -> Iterator[tuple[str, str]]:
    """What is wrong with so few steps, and what to do; see ``planned_steps.few_steps``."""
    training, packing = looked.config.training, looked.config.packing
    yield from few_steps(training, planned_training(looked), looked.mixture, Batches(looked.stream, packing), packing)


def _device_name(devices: Devices | None, speed: Speed | None) -> str:
    return str(devices) if devices else "this machine" if speed else ""


def _first_batches(looked: Looked) -> list[Batch]:
    batches = Batches(looked.stream, looked.config.packing)
    found = [batches.batch(0)]
    while len(found) < _BATCHES:
        found.append(batches.batch(found[-1].next_cursor))
    return found


def _size(looked: Looked) -> ModelSize:
    return measure_size(
        looked.model_config,
        looked.reader.family,
        looked.config.model,
        frozen=lambda model: meant_by(model, looked.config.training.freeze),
    )


def _side_by_side(looked: Looked, asked: Sequence[AskedTask]) -> float:
    """How many answers are generated together, by the size of a batch."""
    questions, tokens = sum(task.questions for task in asked), sum(task.read + task.longest for task in asked)
    return looked.config.evaluation.batch_tokens * questions / max(1, tokens)


def _tried(looked: Looked, told: Reporter) -> tuple[Speed | None, tuple[str, ...]]:
    """This machine's speed; None, with the reason, if it cannot be measured."""
    told.stage("try this machine")
    try:
        return rehearse(looked, told), ()
    except ModelError as error:
        return None, (f"this machine's speed was not measured: {error.message}",)
