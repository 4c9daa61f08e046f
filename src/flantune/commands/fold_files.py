"""What stands beside a fold's tuned model: its mixture, what it was taught, its card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.commands.plan import trained_tasks
from flantune.contamination.training_record import make_training_index, record_of, write_record
from flantune.mixture.tree import mixture_tree
from flantune.models.stored.gguf import gguf_origin, is_gguf
from flantune.report.card import model_card
from flantune.system.files import write_json

if TYPE_CHECKING:
    from flantune.mixture.holdout import HoldoutSplit
    from flantune.mixture.mixture import Mixture
    from flantune.runs.folder import FoldFolder
    from flantune.settings.config import RunConfig
    from flantune.tasks.store import PreparedTask


def write_mixture(
    folder: FoldFolder, split: HoldoutSplit, mixture: Mixture, prepared: Sequence[PreparedTask], *, draws: int
) -> None:
    """What the fold trained on, what it left unseen, what it excluded and why, and how often each task was drawn."""
    with_test = {p.task.name for p in prepared if len(p.stores.get("test", ()))}
    write_json(
        folder.mixture,
        {
            "held_out": list(split.held_out),
            "clusters": list(split.clusters),
            "breaks": list(split.breaks),
            "train": list(mixture.task_names),
            "unseen": [task.name for task in split.unseen if task.name in with_test],
            "measured_seen": [task.name for task in split.train if task.name in with_test],
            "excluded": [{"task": e.task, "reason": e.reason} for e in split.excluded],
            "draws": draws,
            "tree": mixture_tree(mixture, draws=draws),
        },
    )


def write_fold_record(
    config: RunConfig, folder: FoldFolder, prepared: Sequence[PreparedTask], split: HoldoutSplit, *, identity: str
) -> None:
    """What the model was taught goes into its folder, so that ``flantune evaluate`` can tell what it has seen."""
    taught = trained_tasks(config, prepared, split)
    record = record_of(taught, held_out=split.held_out, base=config.model.path, fingerprint=identity)
    write_record(folder.model, record, make_training_index(taught))


def fold_card(config: RunConfig, folder: FoldFolder, *, results: dict[str, Any] | None) -> str:
    """The card of a fold's tuned model; None: before it was measured."""
    path, values = config.model.path, config.model_dump(mode="json")
    origin = str(gguf_origin(Path(path))) if is_gguf(path) and config.model.scratch is None else ""
    return model_card(values, results, folder.read_mixture(), folder.root.name, origin=origin)
