"""This machine's speed at a run's own work, measured by doing a little of it.

A model with the run's shapes and made-up weights, which are as fast as real ones, is run through the same functions
that tune and ask. A deep model is replaced by one with a single layer and one with a few: each additional layer takes
the same time.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from flantune.commands.looked import Looked, asked_task
from flantune.commands.plan import asked_prompts, make_batches, make_codec, make_stream, measured_tasks
from flantune.errors import ModelError
from flantune.evaluation.asking.ask import ask
from flantune.evaluation.asking.session import Session
from flantune.evaluation.asking.task_questions import TaskQuestions
from flantune.evaluation.points import counted
from flantune.evaluation.task_exams import task_exam
from flantune.models.adapters import attach_adapter
from flantune.models.arithmetic import arithmetic
from flantune.models.fit import PROBE_TOKENS, activation_bytes, fit_micro_batch
from flantune.models.forms.training_form import TrainingForm
from flantune.models.load import resolve_device
from flantune.models.memory import available_memory_bytes
from flantune.models.scratch import made_up_model
from flantune.models.size import count_weights
from flantune.packing.chat import chat_tokens
from flantune.studies.estimate import Speed
from flantune.system.progress import Reporter, Silent
from flantune.training.loop import tune

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from flantune.models.language_model import LanguageModel
    from flantune.settings.config import RunConfig
    from flantune.tasks.example_store import PreparedTask

FEW_LAYERS = 4
"""A model with at most this many layers is measured completely; a deeper one with one layer and with this many."""
STEPS = 4
"""Steps of tuning; the first one is a warm-up and does not count."""
TASKS, ROWS = 3, 40
"""Tasks of each kind, and test rows of each: enough for batches as full as in a run."""
_PARTS = 5
"""Parts of a trial whose beginning is reported."""
_BYTES = 20
"""Memory per tuned weight: itself, a copy, its gradient, the optimizer's state, and temporary values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """Measurements of a small model.

    Attributes:
        training: Seconds per token.
        reading: Seconds per token of questions with options.
        writing: Seconds per generated token, after the question was read.
        activation_bytes: Bytes kept per token.
    """

    training: float
    reading: float
    writing: float
    activation_bytes: float

    def at(self, layers: int, first: _Trial, tried: int) -> _Trial:
        """The extrapolation to a number of layers, if this model has ``tried`` layers and the first has one."""
        if layers == tried:
            return self
        further = (layers - tried) / (tried - 1)

        def longer(name: str) -> float:
            more = float(getattr(self, name))
            return more + further * max(0.0, more - float(getattr(first, name)))

        return _Trial(**{name: longer(name) for name in _Trial.__slots__})


def rehearse(looked: Looked, told: Reporter | None = None) -> Speed:
    """This machine's speed at a run's own work; takes some seconds, for a large model minutes.

    Args:
        looked: The run.
        told: Gets the progress.

    Raises:
        ModelError: The model cannot be measured: it is quantized, or not even a few of its layers fit into memory.
    """
    config, whole = looked.config, looked.model_config
    if config.model.quantize != "none":
        raise ModelError("a quantized model is not tried", where="model.quantize")
    layers = int(whole.num_hidden_layers)
    tried = layers if layers <= FEW_LAYERS + 1 else FEW_LAYERS
    _check_room(looked, shallow(whole, tried))
    depths = (tried,) if tried == layers else (tried, 1)
    parts = _Parts(told or Silent(), total=_PARTS * len(depths), layers=layers)
    trials = [_try(looked, shallow(whole, depth), parts) for depth in depths]
    last, first = trials[0], trials[-1]
    parts.end()
    found = last.at(layers, first, tried)
    return Speed(
        training=1.0 / found.training,
        reading=1.0 / found.reading,
        writing=1.0 / found.writing,
        about="this machine, tried just now beside whatever else it was doing",
        activation_bytes=found.activation_bytes,
    )


def shallow(config: PretrainedConfig, layers: int) -> PretrainedConfig:
    """The same model with fewer layers."""
    made = deepcopy(config)
    text: Any = made.get_text_config()
    before = text.num_hidden_layers
    for name, value in list(vars(text).items()):
        if isinstance(value, list) and len(value) == before:  # one entry per layer
            setattr(text, name, value[:layers])
    text.num_hidden_layers = layers
    if getattr(text, "num_decoder_layers", None):
        text.num_decoder_layers = layers
    return made


def _check_room(looked: Looked, config: PretrainedConfig) -> None:
    own_code = looked.config.model.trust_remote_code
    needed = _BYTES * count_weights(config, looked.reader.family, trust_remote_code=own_code)
    if resolve_device(looked.config.model.device).type == "cpu" and needed > available_memory_bytes():
        message = f"{config.num_hidden_layers} of its layers alone take {needed / 1e9:,.0f} GB to tune"
        raise ModelError(message, where="model", hint="name a device: --on h100:8")


@dataclass(slots=True)
class _Parts:
    """Reports which part of a trial begins."""

    told: Reporter
    total: int
    layers: int
    done: int = -1
    model: str = ""

    def of(self, depth: int) -> None:
        """The parts that follow are those of a model with this many layers."""
        self.model = f"{counted(depth, 'layer')} of {self.layers}" if depth < self.layers else "the whole model"

    def begin(self, part: str) -> None:
        """All parts before this one are done."""
        self.done += 1
        self.told.step(self.done, self.total, f"{self.model}: {part}")

    def end(self) -> None:
        """Everything is done."""
        self.told.step(self.total, self.total, "all parts tried")


def _try(looked: Looked, shape: PretrainedConfig, parts: _Parts) -> _Trial:
    """Measures a model of this shape."""
    config, reader = looked.config, looked.reader
    parts.of(int(shape.num_hidden_layers))
    parts.begin("make it")
    device = resolve_device(config.model.device)
    lm = made_up_model(
        shape,
        reader.tokenizer,
        seed=config.seed,
        compute_dtype=arithmetic(config.model.dtype, device),
        device=device,
        trust_remote_code=config.model.trust_remote_code,
    )
    if config.model.attention != "auto":
        lm = replace(lm, attention=config.model.attention)
    with tempfile.TemporaryDirectory(prefix="flantune-") as folder:
        lm = attach_adapter(lm, config.model, seed=config.seed)
        form = TrainingForm(lm, keeps_inputs_only=config.training.activation_checkpointing)
        asks_inputs = config.training.inputs_weight > 0
        parts.begin("find what training keeps in memory")
        kept = activation_bytes(lm, form, PROBE_TOKENS, asks_inputs=asks_inputs) / PROBE_TOKENS
        parts.begin("train")
        training = _seconds_training(looked, lm, form, Path(folder) / "fold")
        reading, writing = _seconds_asking(looked, lm, Path(folder), training=training, parts=parts)
    return _Trial(training=training, reading=reading, writing=writing, activation_bytes=kept)


def _seconds_training(looked: Looked, lm: LanguageModel, form: TrainingForm, folder: Path) -> float:
    """Seconds per token of the run's own batches."""
    config, told = looked.config, []
    micro = config.training.micro_batch_tokens
    if micro == "auto":
        sizes = {"row_tokens": config.packing.row_tokens, "batch_tokens": config.packing.batch_tokens}
        asks_inputs = config.training.inputs_weight > 0
        fit = fit_micro_batch(lm, **sizes, optimizer=config.training.optimizer, form=form, asks_inputs=asks_inputs)
        micro = fit.micro_batch_tokens
    stream = make_stream(config, looked.mixture, lm)
    batches = make_batches(config, stream, lm, micro_batch_tokens=int(micro))
    settings = config.training.model_copy(
        update={
            "steps": STEPS,
            "checkpoint_every": STEPS,
            "measure_every": 0,
            "keep": "last",
            "learning_rate": 0.0,  # keeps made-up weights finite for any rate of the run
        }
    )
    tune(
        lm,
        batches,
        settings,
        folder=folder,
        seed=config.seed,
        fingerprint="rehearsal",
        progress=lambda p: told.append(p.seconds),
        note=_hush,
    )
    cursor, counts = 0, []
    for _ in range(STEPS):
        batch = batches.batch(cursor)
        cursor = batch.next_cursor
        counts.append(batch.counts.input_tokens + batch.counts.target_tokens)
    steps = [end - start for start, end in pairwise(told)]
    return median(seconds / tokens for seconds, tokens in zip(steps, counts[1:], strict=True))


def _hush(_: str) -> None:
    """Messages that the run itself will give are suppressed here."""


def _seconds_asking(
    looked: Looked, lm: LanguageModel, folder: Path, *, training: float, parts: _Parts
) -> tuple[float, float]:
    """Seconds per token read with options, and per generated token; estimated if a run has no such tasks."""
    ranked, written = (_some(looked, kind) for kind in ("classification", "generation"))
    reading = training / 3  # the forward third of a step
    parts.begin("read questions with options")
    if ranked:
        reading = _seconds(looked, lm, ranked, folder / "ranked") / _tokens(looked, ranked)[0]
    parts.begin("write answers")
    if not written:
        return reading, reading
    taken, (read, longest) = _seconds(looked, lm, written, folder / "written"), _tokens(looked, written)
    # Generation takes some of the time, however fast the questions were read.
    return reading, max(taken - reading * read, 0.1 * taken) / longest


def _some(looked: Looked, kind: str) -> list[PreparedTask]:
    tasks = [one for one in measured_tasks(looked.config, looked.prepared, looked.folds) if one.task.kind == kind]
    return tasks[:: max(1, len(tasks) // TASKS)][:TASKS]


def _asked(config: RunConfig, rows: int) -> RunConfig:
    """The run with few rows in one template."""
    most = min(rows, config.evaluation.max_examples or rows)
    few = {"max_examples": most, "dev_examples": 0, "max_templates": 1}
    return config.model_copy(update={"evaluation": config.evaluation.model_copy(update=few)})


def _tokens(looked: Looked, tasks: Sequence[PreparedTask]) -> tuple[int, int]:
    config = _asked(looked.config, ROWS)
    codec = make_codec(config, looked.reader)
    found = [asked_task(one, config, codec) for one in tasks]
    return sum(one.read for one in found), sum(one.longest for one in found)


def _seconds(looked: Looked, lm: LanguageModel, tasks: Sequence[PreparedTask], folder: Path) -> float:
    """The time of asking after a warm-up."""
    taken = 0.0
    for rows in (2, ROWS):
        config = _asked(looked.config, rows)
        how = TaskQuestions(evaluation=config.evaluation, prompts=asked_prompts(config), seed=config.seed)
        session = Session(
            lm=lm,
            folder=folder / str(rows),
            batch_tokens=config.evaluation.batch_tokens,
            chat=chat_tokens(lm.tokenizer, asked_prompts(config)),
        )
        exams = [task_exam(one, how, config.packing) for one in tasks]
        _ = session.fingerprint
        began = time.perf_counter()
        ask(session, exams)
        taken = time.perf_counter() - began
    return taken
