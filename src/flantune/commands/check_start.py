"""What would stop a run at its start, besides its rows: libraries, device, weights, names, folds, the run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from flantune.commands.check_data import Found, error_found
from flantune.commands.plan import check_names, measured_tasks, trained_tasks
from flantune.commands.run_checks import check_dev_rows, task_exams
from flantune.errors import ConfigError, FlantuneError, ModelError
from flantune.models.adapters import require_peft
from flantune.models.arithmetic import arithmetic, slow_arithmetic
from flantune.models.load import quantization, resolve_device
from flantune.models.stored.places import base_of, is_adapter_folder, require_path
from flantune.models.stored.weights import check_stored
from flantune.models.writing.vllm import require_vllm
from flantune.runs.folder import check_run_folder
from flantune.tracking.tracker import check_trackers
from flantune.training.optimizers import build_optimizer

if TYPE_CHECKING:
    from flantune.mixture.holdout import FoldTasks
    from flantune.settings.config import ModelSettings, RunConfig
    from flantune.settings.run_file import RunFile
    from flantune.tasks.example_store import PreparedTask
    from flantune.types import Task


def start_faults(
    file: RunFile,
    tasks: Sequence[Task],
    prepared: Sequence[PreparedTask],
    splits: Sequence[FoldTasks],
    *,
    folder: Path | None,
) -> Iterator[Found]:
    """All such faults, checked separately, so that one does not hide another.

    Args:
        file: The run file.
        tasks: Its tasks.
        prepared: Those with data.
        splits: The folds that can be made.
        folder: The run folder; None: unknown.
    """
    config = file.config
    looks: list[tuple[str, Callable[[], object]]] = [
        ("names", lambda: check_names(config, tasks, root=file.root)),
        ("tracking", lambda: check_trackers(config.tracking.to)),
        ("model", lambda: quantization(config.model, resolve_device(config.model.device))),
        ("model", lambda: _check_model(config.model)),
        ("training", lambda: build_optimizer(nn.Linear(1, 1), config.training)),
        ("evaluation", lambda: require_vllm() if config.evaluation.backend == "vllm" else None),
        *(("mixture", lambda split=split: _check_taught(config, prepared, split)) for split in splits),
        ("evaluation", lambda: task_exams(config, measured_tasks(config, prepared, splits))),
        ("run folder", lambda: check_run_folder(folder, file) if folder else None),
    ]
    for about, look in looks:
        try:
            look()
        except FlantuneError as error:
            yield error_found(about, error)
    with suppress(ModelError):  # no such device: reported above
        device = resolve_device(config.model.device)
        if slow := slow_arithmetic(arithmetic(config.model.dtype, device), device):
            yield Found(severity="warning", about="model", text=slow, hint='set model.dtype = "auto"')


def _check_model(settings: ModelSettings) -> None:
    """Raises ModelError if there is no model, its weights cannot be read, or what its adapter needs is missing."""
    if settings.adapter != "none":
        require_peft()
    if settings.scratch is not None:
        return
    # Without the config, reading the tokenizer reports that it is missing.
    require_path(settings, wanted="")
    if is_adapter_folder(settings.path):
        require_peft()
        settings = base_of(settings)
    check_stored(settings.path)


def _check_taught(config: RunConfig, prepared: Sequence[PreparedTask], split: FoldTasks) -> None:
    """Raises ConfigError if a fold has nothing to train on, or no dev rows to choose weights by."""
    taught = trained_tasks(config, prepared, split)
    if not taught:
        if not split.held_out:
            raise ConfigError("no task has rows to train on", where="data", hint="give some task a train split")
        held = ", ".join(split.held_out)
        hint = "hold out less, or add tasks"
        raise ConfigError(f"no task is left to train on without {held}", where="holdout.folds", hint=hint)
    if config.training.measure_every:
        check_dev_rows(config, taught)
