"""What reads a world of files, in this process and without training anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import torch

from flantune.commands.plan import prepare_tasks, split_fold
from flantune.commands.rescore import rescore_run
from flantune.contamination.record_files import read_index, read_record
from flantune.errors import FlantuneError
from flantune.evaluation.asking.score_store import ScoreStore
from flantune.evaluation.samples import read_origin, read_samples
from flantune.evaluation.statistics.seeds import over_seeds
from flantune.harness.harness_file import read_task_file
from flantune.judging.answers import read_answers, read_prompts
from flantune.judging.ratings import read_ratings
from flantune.mixture.holdout import folds_of
from flantune.mixture.taxonomy import load_taxonomy
from flantune.prompts.layout import Layout, inputs_text
from flantune.prompts.render import render
from flantune.report.page import write_report
from flantune.runs.files import read_results
from flantune.runs.folder import open_run_folder
from flantune.settings.config import TrainingSettings
from flantune.settings.run_file import load_run_file, to_toml
from flantune.system.manifest import Stopwatch
from flantune.tasks.load import load_tasks
from flantune.tasks.prepare import prepare_task
from flantune.tasks.taskfile import load_task_file
from flantune.training.checkpoints import CheckpointFolder, Identity
from flantune.training.optimizers import build_optimizer

PASSED_OVER = frozenset({"report.html", ".lock", "README.md"})


def read_run_file(folder: Path, damaged: Path | None = None) -> None:
    """A run file and all that stands beside it: taxonomy, grouping, filter; written down and read again."""
    file = load_run_file(folder / "run.toml")
    (folder / "again.toml").write_text(to_toml(file.config), encoding="utf-8")
    assert load_run_file(folder / "again.toml").config == file.config
    open_run_folder(folder / "out", file)
    tasks = load_tasks(file.config.data, root=file.root)
    load_taxonomy(file.config.holdout.taxonomy)
    for fold in folds_of(file.config.holdout):
        split_fold(file.config, tasks, fold)


def read_tasks(folder: Path, damaged: Path | None = None) -> None:
    """Every task file: rows adapted, each read back, each template filled in; a second time from the cache."""
    first: FlantuneError | None = None
    for path in sorted(folder.glob("*.toml")):
        try:
            _read_task(path, folder / "cache")
        except FlantuneError as error:
            first = first or error
    if first is not None:
        raise first


def _read_task(path: Path, cache: Path) -> None:
    task = load_task_file(path)
    for share in (1.0, 0.01):
        prepared = prepare_task(task, cache=cache, max_bad_share=share)
        for store in prepared.stores.values():
            for example in store[:20]:
                for template in task.templates[:2]:
                    inputs_text(render(task, example, template, split="train"), Layout())


def checkpoints(folder: Path) -> tuple[CheckpointFolder, torch.nn.Module, torch.optim.Optimizer]:
    """The checkpoints of a run, and a fresh model and optimizer for them."""
    model = torch.nn.Linear(4, 2)
    optimizer = build_optimizer(model, TrainingSettings(optimizer="adamw"))
    identity = Identity(fingerprint="f", seed=1, settings={"steps": 3})
    return CheckpointFolder(root=folder, identity=identity, keep=3, note=lambda _: None), model, optimizer


def read_checkpoints(folder: Path, damaged: Path | None = None) -> None:
    """The latest whole checkpoint, put back."""
    found, model, optimizer = checkpoints(folder)
    found.restore(model, optimizer)


def read_run(folder: Path, damaged: Path | None = None) -> None:
    """A run folder: joined, scored again, its page written, its store opened, its model's record read.

    Of all these, what reads the damaged file; everything when none is named.
    """
    steps = [step for step, names in _STEPS.items() if damaged is None or names.search(damaged.as_posix())]
    first: FlantuneError | None = None
    for step in steps:
        try:
            step(folder)
        except FlantuneError as error:
            first = first or error
    if first is not None:
        raise first


def read_judged(folder: Path, damaged: Path | None = None) -> None:
    """Prompts, answers to them and ratings of these, read and put together."""
    _each(
        lambda: read_prompts(folder / "prompts.jsonl"),
        lambda: read_prompts(folder / "prompts.txt"),
        lambda: read_answers(folder / "answers.jsonl"),
        lambda: read_ratings(folder / "answers.ratings.jsonl"),
    )


def read_harness(folder: Path, damaged: Path | None = None) -> None:
    """A task file of lm-evaluation-harness with what it includes: its settings, or a refusal of them."""
    read_task_file(folder / "task.yaml")


def read_mirror(folder: Path, damaged: Path | None = None) -> None:
    """A task on a mirror of the hub, with the note of what was fetched."""
    _read_task_on(folder / "task.toml", folder / "hub", folder / "cache")


def _each(*steps: Callable[[], object]) -> None:
    """Takes every step; the first error stands for all."""
    first: FlantuneError | None = None
    for step in steps:
        try:
            step()
        except FlantuneError as error:
            first = first or error
    if first is not None:
        raise first


def _read_task_on(path: Path, mirror: Path, cache: Path) -> None:
    prepare_task(load_task_file(path, mirror=mirror), cache=cache)


def _join(folder: Path) -> None:
    Stopwatch(folder / "run/seconds.json")
    open_run_folder(folder / "run", load_run_file(folder / "run.toml"))
    file = load_run_file(folder / "run.toml")
    prepare_tasks(file.config, root=file.root, cache=folder / "run/data")


def _rescore(folder: Path) -> None:
    rescore_run(folder / "run")


def _report(folder: Path) -> None:
    write_report(folder / "run")


def _seeds(folder: Path) -> None:
    over_seeds([read_results(folder / name) for name in ("run", "other")])


def _samples(folder: Path) -> None:
    for path in sorted((folder / "run").rglob("samples/*.parquet")):
        read_origin(path)
        with suppress(FlantuneError):
            list(read_samples(path))
    for store in sorted((folder / "run").rglob("store")):
        found = ScoreStore(store)
        for key in [one.hex() for one in found._frame_of]:
            found.find([key])


def _record(folder: Path) -> None:
    for path in sorted((folder / "run").rglob("model")):
        read_record(path)
        read_index(path)


_STEPS: Mapping[Callable[[Path], None], re.Pattern[str]] = {
    _join: re.compile(r"toml$|jsonl$|arrow|summary|seconds|run/config.json|run/data"),
    _rescore: re.compile(r"parquet$|mixture|training.json|run/config.json|run/data.json"),
    _report: re.compile(r"run/\w+.json|folds|parquet$|origins"),
    _seeds: re.compile(r"results.json$"),
    _samples: re.compile(r"parquet$|origins|shard$"),
    _record: re.compile(r"model/"),
}
