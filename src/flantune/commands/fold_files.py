"""The files beside a fold's tuned model: its mixture, training record and card."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.commands.plan import trained_tasks
from flantune.contamination.clean import only_rows
from flantune.contamination.record_files import write_record
from flantune.contamination.training_record import make_training_index, record_of
from flantune.mixture.tree import mixture_tree
from flantune.mixture.used_rows import rows_within_caps
from flantune.models.load import stored_attention
from flantune.models.stored.gguf import gguf_origin
from flantune.models.stored.gguf_reading import is_gguf
from flantune.report.card import model_card
from flantune.runs.files import read_mixture, read_training
from flantune.runs.products import FoldMixture
from flantune.settings.config import ModelSettings
from flantune.settings.json_file import write_value

if TYPE_CHECKING:
    from flantune.evaluation.results import Results
    from flantune.mixture.holdout import FoldTasks
    from flantune.mixture.mixture import Mixture
    from flantune.runs.folder import FoldFolder
    from flantune.settings.config import RunConfig
    from flantune.system.progress import Reporter
    from flantune.tasks.example_store import PreparedTask
    from flantune.types import Attention


def write_mixture(
    folder: FoldFolder, split: FoldTasks, mixture: Mixture, prepared: Sequence[PreparedTask], *, draws: int
) -> None:
    """Writes what the fold trained on, left unseen and excluded, with reasons, and how often each task was drawn."""
    with_test = {p.task.name for p in prepared if len(p.stores.get("test", ()))}
    write_value(
        folder.mixture,
        FoldMixture(
            held_out=split.held_out,
            clusters=split.clusters,
            breaks=split.breaks,
            train=mixture.task_names,
            unseen=tuple(task.name for task in split.unseen if task.name in with_test),
            measured_seen=tuple(task.name for task in split.train if task.name in with_test),
            excluded=split.excluded,
            draws=draws,
            tree=mixture_tree(mixture, draws=draws),
        ),
    )


def write_fold_record(
    config: RunConfig,
    folder: FoldFolder,
    prepared: Sequence[PreparedTask],
    split: FoldTasks,
    mixture: Mixture,
    *,
    identity: str,
    reporter: Reporter,
) -> None:
    """Writes the training record into a model's folder, so that ``flantune evaluate`` knows what it has seen.

    Rows beyond a task's cap were never shown, so they are not read.
    """
    drawn = {*read_mixture(folder).train}  # a mixture may draw only from some of its parts
    within = rows_within_caps(mixture.portions)
    taught = [
        only_rows(one, within[one.task.name]) if one.task.name in within else one
        for one in trained_tasks(config, prepared, split)
        if one.task.name in drawn
    ]
    record = record_of(taught, held_out=split.held_out, base=config.model.path, fingerprint=identity)
    write_record(folder.model, record, make_training_index(taught, told=reporter))


def fold_card(
    config: RunConfig, folder: FoldFolder, *, results: Results | None, attention: Attention | None = None
) -> str:
    """The card of a fold's tuned model.

    Args:
        config: The run's settings.
        folder: The fold.
        results: None: not yet measured.
        attention: How it attends to its inputs; None: as in its folder.
    """
    path = config.model.path
    origin = str(gguf_origin(Path(path))) if is_gguf(path) and config.model.scratch is None else ""
    if folder.training.exists():  # its length may have been set in epochs, or cut short
        taken = config.training.model_copy(update={"steps": read_training(folder).steps})
        config = config.model_copy(update={"training": taken})
    attention = attention or stored_attention(ModelSettings(path=str(folder.model)))
    return model_card(config, results, read_mixture(folder), folder.root.name, origin=origin, attention=attention)


def drop_checkpoints(folder: FoldFolder) -> None:
    """Deletes checkpoints once the model is saved and the fold finished: each is up to three times the model's size."""
    shutil.rmtree(folder.checkpoints, ignore_errors=True)
