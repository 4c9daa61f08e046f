"""Finished run folders made by hand, so that nothing is tuned to test what reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from flantune.commands.rescore import rescore_run
from flantune.evaluation.samples import samples_path, write_samples
from flantune.mixture.tree import MixtureTree
from flantune.runs.folder import open_run_folder
from flantune.runs.products import DataReport, FoldMixture
from flantune.settings.config import RunConfig
from flantune.settings.json_file import write_value
from flantune.settings.run_file import RunFile
from flantune.tasks.describe import TaskDescription
from flantune.types import Sample

CLUSTERS = {"film": "sentiment", "shop": "sentiment", "topic": "topic classification"}
FOLDS = {"sentiment": ("film", "shop"), "topic classification": ("topic",)}
PLAIN = {"": ("film", "shop", "topic")}
"""Nothing is held out: one model, measured on what it was trained on."""
TEMPLATES = ("a", "b")


def make_run(
    folder: Path,
    *,
    seed: int = 0,
    base: float = 0.4,
    tuned: float = 0.7,
    rows: Sequence[int] = range(40),
    folds: Mapping[str, Sequence[str]] = FOLDS,
    templates: Sequence[str] = TEMPLATES,
    settings: Mapping[str, object] | None = None,
) -> Path:
    """A run whose base and tuned models are right so often; its results are scored from its samples."""
    values = {
        "name": folder.name,
        "seed": seed,
        "holdout": {"folds": [[name] for name in folds if name]},
        **(settings or {}),
    }
    config = RunConfig.model_validate(values)
    home = open_run_folder(folder, RunFile(config=config, origins={}, root=folder))
    write_value(home.data, DataReport(identity="x", skipped={}, tasks=tuple(map(_description, CLUSTERS))))
    for task in {task for tasks in folds.values() for task in tasks}:
        write_samples(samples_path(home.base, task), grid(task, rows, base, 1, templates))
    for cluster, tasks in folds.items():
        fold = home.fold((cluster,) if cluster else ())
        write_value(fold.mixture, _mixture(cluster, tasks))
        for task in tasks:
            write_samples(samples_path(fold.tuned, task), grid(task, rows, tuned, 2 + seed, templates))
    rescore_run(folder)
    return folder


def grid(task: str, rows: Sequence[int], rate: float, seed: int, templates: Sequence[str] = TEMPLATES) -> list[Sample]:
    """Answers that are right with some probability, the same row by row for the same rate and seed."""
    chance = np.random.default_rng([seed, sum(map(ord, task))])
    right = {(template, row): bool(chance.random() < rate) for template in templates for row in range(200)}
    return [
        Sample(
            task=task, split="test", row=row, template=template, shots=0, inputs=f"row {row}", options=("no", "yes"),
            answer=row % 2, references=(("no", "yes")[row % 2],), lengths=(2, 2),
            scores=(-1.0, -2.0) if right[template, row] == (row % 2 == 0) else (-2.0, -1.0),
        )
        for template in templates
        for row in rows
    ]  # fmt: skip


def _description(name: str) -> TaskDescription:
    return TaskDescription(
        name=name, clusters=(CLUSTERS[name],), family=name, kind="classification", metrics=("accuracy",), licence="",
        citation="", description="", origin="", fingerprint=name, templates=(), splits={}, missing={},
    )  # fmt: skip


def _mixture(cluster: str, tasks: Sequence[str]) -> FoldMixture:
    held = (cluster,) if cluster else ()
    unseen, seen = (tuple(tasks), ()) if cluster else ((), tuple(tasks))
    return FoldMixture(
        held_out=held, clusters=held, breaks=(), train=seen or ("other",), unseen=unseen, measured_seen=seen,
        excluded=(), draws=100, tree=MixtureTree(seed=0, cycle=1, clusters=()),
    )  # fmt: skip
