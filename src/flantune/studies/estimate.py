"""An estimate of a run before it starts: tokens, arithmetic, memory, hours, and what it could detect.

The cost model, in three sentences. Tuning takes six operations per weight and token, reading two, without attention, as
the papers count (``models/size.py``). A device's speed is what its maker states, times the share that a published run
reached (``models/devices.toml``); this machine's speed is measured (``commands/rehearsal.py``). A generated token reads
every weight once, for all answers generated together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from flantune.evaluation.statistics.means import Mean, Share, combine, detectable_difference
from flantune.models.fit import OPTIMIZER_BYTES
from flantune.models.size import ModelSize, reading_flops, training_flops

if TYPE_CHECKING:
    from flantune.models.devices import Devices
    from flantune.settings.config import RunConfig

CHECKPOINTED = 4 / 3
"""Arithmetic of a step that recomputes activations: four passes instead of three."""
ROW_SPREAD = 0.5**0.5
"""Standard deviation of a row's difference between two models that are each right on half of the rows, independently.
Models that err on the same rows differ less from row to row, models that err on opposite ones more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A part of the work; can be added.

    Attributes:
        tokens: Tokens that pass through the model.
        flops: Floating-point operations.
        seconds: Time; 0 if no device is named.
    """

    tokens: int = 0
    flops: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Load) -> Load:
        return Load(
            tokens=self.tokens + other.tokens, flops=self.flops + other.flops, seconds=self.seconds + other.seconds
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes on each device.

    Attributes:
        weights: In float32, with their bfloat16 copies if that is the arithmetic.
        gradients: Of the trainable weights.
        optimizer: Its state.
        activations: What a forward pass of one micro-batch keeps; 0 if not measured.
    """

    weights: float
    gradients: float
    optimizer: float
    activations: float

    @property
    def total(self) -> float:
        """The sum."""
        return self.weights + self.gradients + self.optimizer + self.activations


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedTask:
    """How one task is asked, for each model.

    Attributes:
        name: The task.
        clusters: Its clusters.
        rows: Test rows.
        questions: Prompts of all splits, templates and numbers of exemplars.
        read: Tokens of their contexts and options.
        written: Tokens of the answers, assuming the right ones; 0 if options are ranked.
        longest: Tokens of the answers, assuming the longest allowed.
    """

    name: str
    clusters: tuple[str, ...]
    rows: int
    questions: int
    read: int
    written: int = 0
    longest: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldWork:
    """The work of one fold.

    Attributes:
        held_out: What it holds out.
        clusters: The clusters that are averaged.
        tasks: What the tuned model, and the base model, are asked.
    """

    held_out: tuple[str, ...]
    clusters: tuple[str, ...]
    tasks: tuple[AskedTask, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Speed in tokens per second.

    Attributes:
        training: Of tuning.
        reading: Of reading, to score options or before generating.
        writing: Of generation.
        about: The device, and how its speed is known.
        activation_bytes: Per token of a micro-batch, if measured.
    """

    training: float
    reading: float
    writing: float
    about: str
    activation_bytes: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Detectable:
    """The smallest true difference from the base model that the run would detect with 80% power.

    Attributes:
        difference: Of the mean over the measured clusters, as a share of one.
        tasks: Measured tasks.
        rows: Their test rows.
        spread: Assumed standard deviation of a row's difference.
        confidence: Level of the intervals.
    """

    difference: float
    tasks: int
    rows: int
    spread: float
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCost:
    """The cost of a whole run.

    Attributes:
        weights: Of the model.
        trained: Trainable weights.
        folds: Models that are tuned.
        steps: Optimizer steps of each.
        prompts_a_step: Mean number of prompts in one of the first batches.
        fill: Share of a batch's positions with a token.
        draws: Prompts that one model is tuned on.
        training: Tuning all of them.
        questions: Prompts asked of the base model and of the tuned ones.
        base: Measuring the base model, once.
        tuned: Measuring the tuned ones.
        memory: On each device while tuning; None for quantized weights.
        speed: Of the device; None if none is named.
        device: Its name; empty if none is named.
        fits: Whether the memory of the device is sufficient; None if unknown.
        detectable: The smallest difference it could detect; None if nothing is measured.
        holds_out: Whether tasks are held out, so that the measured ones are unseen.
        notes: Further notes on the estimate.
    """

    weights: int
    trained: int
    folds: int
    steps: int
    prompts_a_step: float
    fill: float
    draws: int
    training: Load
    questions: int
    base: Load
    tuned: Load
    memory: Memory | None
    speed: Speed | None = None
    device: str = ""
    fits: bool | None = None
    detectable: Detectable | None = None
    holds_out: bool = True
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> Load:
        """The sum."""
        return total((self.training, self.base, self.tuned))


def total(loads: Iterable[Load]) -> Load:
    """The sum of several loads.

    >>> total([Load(tokens=2, flops=1.0), Load(tokens=3)])
    Load(tokens=5, flops=1.0, seconds=0.0)
    """
    return reduce(add, loads, Load())


def training_load(size: ModelSize, tokens: int, speed: Speed | None) -> Load:
    """Tuning on a number of tokens."""
    return Load(
        tokens=tokens,
        flops=training_flops(size.weights, tokens, size.family, trained=size.trained),
        seconds=tokens / speed.training if speed else 0.0,
    )


def measuring_load(size: ModelSize, tasks: Iterable[AskedTask], speed: Speed | None, *, is_tuned: bool) -> Load:
    """Asking a model a number of tasks.

    A tuned model is assumed to write answers as long as the right ones; one that has not learned to stop writes longer
    ones.
    """
    found = list(tasks)
    read = sum(task.read for task in found)
    written = sum(task.written if is_tuned else task.longest for task in found)
    return Load(
        tokens=read + written,
        flops=reading_flops(size.weights, read + written, size.family),
        seconds=read / speed.reading + written / speed.writing if speed else 0.0,
    )


def speed_of(devices: Devices, size: ModelSize, *, recomputes: bool, rows: float) -> Speed:
    """The speed of a model on named devices.

    Args:
        devices: The devices.
        size: The model.
        recomputes: Activations are recomputed in the backward pass.
        rows: Answers that are generated together.
    """
    a_token = training_flops(size.weights, 1, size.family, trained=size.trained)
    reading = devices.flops / reading_flops(size.weights, 1, size.family)
    # Each generated token reads every weight from memory in bfloat16, once for all answers together.
    looks = devices.count * devices.device.bandwidth / (2.0 * size.weights)
    return Speed(
        training=devices.flops / (a_token * (CHECKPOINTED if recomputes else 1.0)),
        reading=reading,
        writing=min(reading, looks * max(1.0, rows)),
        about=f"{devices} at {devices.device.utilization:.0%} of their peak ({devices.device.source})",
    )


def memory_of(config: RunConfig, size: ModelSize, *, devices: int, activation_bytes: float = 0.0) -> Memory | None:
    """Bytes on each device while tuning; None for weights in fewer bits than float32.

    Args:
        config: The run.
        size: The model.
        devices: The devices that share the work; with ``training.parallel = "sharded"`` they share the weights, too.
        activation_bytes: What a forward pass keeps per token.
    """
    if config.model.quantize != "none":
        return None
    shares = devices if config.training.parallel == "sharded" else 1
    copies = 2 if config.model.dtype == "bfloat16" else 0
    packing, micro = config.packing, config.training.micro_batch_tokens
    tokens = packing.row_tokens if micro == "auto" else max(packing.row_tokens, int(micro))
    return Memory(
        weights=size.weights * (4 + copies) / shares,
        gradients=size.trained * 4 / shares,
        optimizer=size.trained * OPTIMIZER_BYTES[config.training.optimizer] / shares,
        activations=tokens * activation_bytes,
    )


def detectable_before(
    folds: Sequence[FoldWork],
    *,
    confidence: float,
    spread: float = ROW_SPREAD,
    seeds: int = 1,
    seed_spread: float = 0.0,
) -> Detectable | None:
    """The smallest difference between two models that a measurement of these tasks could detect; None without tasks.

    Before anything is measured, it is unknown how much the effect of tuning differs between rows; ``spread`` assumes
    it.
    The mean is the one that a run reports: the mean over clusters of the mean over their unseen tasks.

    Args:
        folds: The folds that are measured.
        confidence: Level of the intervals.
        spread: Standard deviation of one row's difference, its mean over templates.
        seeds: Number of runs with different seeds, on the same rows.
        seed_spread: Standard deviation of the difference over seeds.

    Paper: Miller 2024, "Adding Error Bars to Evals", section 5.

    >>> task = AskedTask(name="rte", clusters=("nli",), rows=277, questions=2_770, read=300_000)
    >>> fold = FoldWork(held_out=("nli",), clusters=("nli",), tasks=(task,))
    >>> round(detectable_before([fold], confidence=0.95).difference, 3)
    0.119
    """
    groups = [
        members
        for fold in folds
        for cluster in fold.clusters
        if (members := [task for task in fold.tasks if cluster in task.clusters and task.rows])
    ]
    if not groups:
        return None
    shares = [
        Share(
            task=task.name,
            weight=1.0 / (len(groups) * len(group)),
            mean=Mean(value=0.0, se=spread / task.rows**0.5, df=max(1.0, task.rows - 1.0)),
        )
        for group in groups
        for task in group
    ]
    mean = combine(shares)
    if seeds > 1 and seed_spread:
        luck = seed_spread**2 / seeds
        mean = Mean(value=0.0, se=(mean.se**2 + luck) ** 0.5, df=(seeds - 1) * ((mean.se**2 + luck) / luck) ** 2)
    rows = {task.name: task.rows for group in groups for task in group}
    return Detectable(
        difference=detectable_difference(mean, confidence=confidence),
        tasks=len(rows),
        rows=sum(rows.values()),
        spread=spread,
        confidence=confidence,
    )
