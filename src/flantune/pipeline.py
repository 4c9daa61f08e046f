"""The whole line, from tasks to report: ``run`` reads like the papers' method section."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.errors import ConfigError
from flantune.evaluation.evaluate import evaluate
from flantune.files import read_json, write_json, write_text
from flantune.manifest import Stopwatch, write_manifest
from flantune.mixture.tree import mixture_tree
from flantune.models.load import LanguageModel, load_model, save_model
from flantune.models.scratch import build_model
from flantune.models.selftest import check_isolation
from flantune.packing.batches import Batches
from flantune.packing.encode import border_mismatches
from flantune.planning import make_codec, make_mixture, make_tokenizer, prepare_tasks, split_fold
from flantune.progress import Reporter, Silent
from flantune.report.card import model_card
from flantune.report.page import write_report
from flantune.rescoring import summarize_run
from flantune.run_file import RunFile, fingerprint
from flantune.run_folder import FoldFolder, RunFolder, open_run_folder, training_identity
from flantune.tasks.describe import describe_task, task_fingerprint
from flantune.training.loop import tune
from flantune.types import Run

if TYPE_CHECKING:
    from flantune.config import PromptSettings, RunConfig
    from flantune.mixture.holdout import HoldoutSplit
    from flantune.mixture.mixture import Mixture
    from flantune.tasks.store import PreparedTask

# Prompts by which the share of borders that tokenize differently is measured.
_BORDER_PROMPTS = 500


@dataclass(frozen=True, slots=True)
class _Job:
    """What every step of one run needs."""

    config: RunConfig
    root: Path
    folder: RunFolder
    watch: Stopwatch
    reporter: Reporter


def run(file: RunFile, *, out: Path, reporter: Reporter | None = None) -> Run:
    """Tunes a model on many tasks and measures it on clusters it never saw.

    Every product lies in ``out``; the same call again goes on where an interrupted one stopped.

    Raises:
        flantune.errors.FlantuneError: Something the user can mend; what is done so far stays on disk.

    Paper: FLAN 2021, section 2.
    """
    job = _start(file, out, reporter or Silent())
    prepared, identity = _prepare(job)
    folds = [split_fold(job.config, [p.task for p in prepared], clusters) for clusters in job.config.holdout.folds]
    base = _base_model(job, prepared)
    _measure(job, base, _measured(job, prepared, folds), folder=job.folder.base, title="the base model")
    for split in folds:
        tuned = _tune_fold(job, prepared, split, identity=identity)
        folder = job.folder.fold(split.held_out).tuned
        _measure(job, tuned, _measured(job, prepared, [split]), folder=folder, title=f"tuned, blind to {_names(split)}")
    return Run(folder=out, results=_conclude(job, identity=identity))


def _start(file: RunFile, out: Path, reporter: Reporter) -> _Job:
    if not file.config.holdout.folds:
        hint = 'hold at least one cluster out: [holdout] folds = [["natural language inference"]]'
        raise ConfigError("nothing is held out, so nothing unseen could be measured", where="holdout.folds", hint=hint)
    folder = open_run_folder(out, file)
    return _Job(file.config, file.root, folder, Stopwatch(out / "seconds.json"), reporter)


def _prepare(job: _Job) -> tuple[list[PreparedTask], str]:
    """Reads the tasks' rows; returns them with a fingerprint of every definition and every row."""
    job.reporter.stage("read the tasks")
    with job.watch.stage("tasks"):
        prepared, skipped = prepare_tasks(
            job.config,
            root=job.root,
            cache=job.config.data.cache or job.folder.root / "data",
            on_task=job.reporter.step,
        )
    for name, reason in skipped.items():
        job.reporter.note(f"{name} is left out: {reason}")
    clean = job.config.data.clean
    left_out = clean.read_text(encoding="utf-8") if clean is not None and clean.exists() else None
    identity = fingerprint(training_identity(job.config), [task_fingerprint(p) for p in prepared], left_out)
    if job.folder.data.exists() and read_json(job.folder.data)["identity"] != identity:
        raise ConfigError(
            "the tasks or their data changed since this run began",
            where=str(job.folder.root),
            hint="choose another --out, or delete the folder",
        )
    described = [describe_task(p) for p in prepared]
    write_json(job.folder.data, {"identity": identity, "skipped": skipped, "tasks": described})
    return prepared, identity


def _base_model(job: _Job, prepared: Sequence[PreparedTask]) -> LanguageModel:
    """The pretrained model; one made from nothing is kept with the run, since every fold starts from it."""
    config = job.config
    if config.model.scratch is None:
        return load_model(config.model, family=config.family)
    folder = job.folder.base / "model"
    if not folder.exists():
        job.reporter.stage("make a model from nothing, with a tokenizer trained on training prompts")
        with job.watch.stage("base model"):
            tokenizer, _ = make_tokenizer(config, prepared)
            made = build_model(config.model.scratch, tokenizer, seed=config.seed)
            save_model(made, folder, card="A small random model: the starting point of a flantune run.\n")
    return load_model(config.model.model_copy(update={"path": str(folder)}), family=config.family)


def _measured(job: _Job, prepared: Sequence[PreparedTask], folds: Sequence[HoldoutSplit]) -> list[PreparedTask]:
    """The tasks some of these folds are measured on: the unseen and, when asked for, the seen."""
    names = {task.name for split in folds for task in split.unseen}
    if job.config.evaluation.seen_tasks:
        names |= {task.name for split in folds for task in split.train}
    return [p for p in prepared if p.task.name in names and len(p.stores.get("test", ()))]


def _measure(job: _Job, lm: LanguageModel, prepared: Sequence[PreparedTask], *, folder: Path, title: str) -> None:
    job.reporter.stage(f"measure {title} on {len(prepared)} tasks")
    with job.watch.stage("evaluation"):
        evaluate(
            lm,
            prepared,
            job.config.evaluation,
            folder=folder,
            seed=job.config.seed,
            prompts=_asked(job.config),
            packing=job.config.packing,
            progress=lambda p: job.reporter.step(p.done, p.total, f"{p.task}: {p.done:,} of {p.total:,} prompts"),
        )


def _asked(config: RunConfig) -> PromptSettings:
    """How prompts are made when measuring."""
    return config.prompts.model_copy(update={"style": config.evaluation.style or config.prompts.style})


def _tune_fold(job: _Job, prepared: Sequence[PreparedTask], split: HoldoutSplit, *, identity: str) -> LanguageModel:
    """The model tuned on everything a fold does not hold out; loaded when that is already done."""
    folder = job.folder.fold(split.held_out)
    if folder.training.exists():
        return load_model(job.config.model.model_copy(update={"path": str(folder.model)}), family=job.config.family)
    lm = _base_model(job, prepared)
    job.reporter.stage(f"tune on {len(split.train)} tasks, blind to {_names(split)}")
    with job.watch.stage("training"):
        mixture, batches = _stream(job, prepared, split, lm)
        _write_mixture(folder, split, mixture, prepared, draws=0)
        summary = tune(
            lm,
            batches,
            job.config.training,
            folder=folder.root,
            seed=job.config.seed,
            progress=lambda p: job.reporter.step(p.step, p.steps, str(p)),
            fingerprint=fingerprint(identity, split.held_out),
        )
        _write_mixture(folder, split, mixture, prepared, draws=summary.cursor)
        card = model_card(job.config.model_dump(mode="json"), None, read_json(folder.mixture), folder.root.name)
        save_model(lm, folder.model, card=card)
        mismatch = border_mismatches(batches.codec, [mixture[i] for i in range(_BORDER_PROMPTS)])
        write_json(
            folder.training, {**summary.to_json(), "fill": summary.counts.fill, "border_mismatch_share": mismatch}
        )
        # The model is saved and the fold is marked done: its checkpoints, three times the model's size, can go.
        shutil.rmtree(folder.root / "checkpoints", ignore_errors=True)
    return lm


def _stream(
    job: _Job, prepared: Sequence[PreparedTask], split: HoldoutSplit, lm: LanguageModel
) -> tuple[Mixture, Batches]:
    config = job.config
    codec = make_codec(config, lm.tokenizer, lm.family)
    mixture = make_mixture(config, prepared, split)
    packing = config.packing
    isolation = check_isolation(lm)
    if packing.enabled and not isolation.is_isolated:
        job.reporter.note(
            "this model lets packed prompts see each other (largest difference "
            f"{isolation.max_difference:.2g}): it is tuned with one prompt a row"
        )
        packing = packing.model_copy(update={"enabled": False})
    return mixture, Batches(mixture, codec, packing, micro_batch_tokens=config.training.micro_batch_tokens)


def _write_mixture(
    folder: FoldFolder, split: HoldoutSplit, mixture: Mixture, prepared: Sequence[PreparedTask], *, draws: int
) -> None:
    with_test = {p.task.name for p in prepared if len(p.stores.get("test", ()))}
    write_json(
        folder.mixture,
        {
            "held_out": list(split.held_out),
            "train": list(mixture.task_names),
            "unseen": [task.name for task in split.unseen if task.name in with_test],
            "measured_seen": [task.name for task in split.train if task.name in with_test],
            "excluded": [{"task": e.task, "reason": e.reason} for e in split.excluded],
            "draws": draws,
            "tree": mixture_tree(mixture, draws=draws),
        },
    )


def _conclude(job: _Job, *, identity: str) -> dict[str, Any]:
    """Scores the samples, fills in the model cards, writes manifest and report."""
    job.reporter.stage("score, write the report")
    with job.watch.stage("report"):
        results = summarize_run(job.folder, job.config, settings=job.config.evaluation)
        for clusters in job.config.holdout.folds:
            fold = job.folder.fold(clusters)
            card = model_card(job.config.model_dump(mode="json"), results, read_json(fold.mixture), fold.root.name)
            write_text(fold.model / "README.md", card)
    # The report shows the manifest and the manifest names the report, so it is written before and after.
    write_manifest(job.folder.root, seconds=job.watch.seconds, fingerprints={"run": identity})
    write_report(job.folder.root)
    write_manifest(job.folder.root, seconds=job.watch.seconds, fingerprints={"run": identity})
    return results


def _names(split: HoldoutSplit) -> str:
    return ", ".join(split.held_out)
