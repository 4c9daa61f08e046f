"""The whole pipeline, from tasks to report: ``run`` reads like the papers' method section."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from flantune.commands.budget_notes import measured_notes, training_notes
from flantune.commands.fold_files import drop_checkpoints, fold_card, write_fold_record, write_mixture
from flantune.commands.micro_batch import micro_batch_tokens
from flantune.commands.plan import (
    asked_prompts,
    make_batches,
    make_mixture,
    make_stream,
    make_tokenizer,
    measured_tasks,
    prepare_tasks,
    split_fold,
    trained_tasks,
)
from flantune.commands.planned_steps import few_steps, length_notes, planned
from flantune.commands.prepared_draws import with_prepared
from flantune.commands.rescore import summarize_run
from flantune.commands.run_checks import check_before, check_dev_rows, task_exams
from flantune.commands.suites_in_run import check_unseen, suite_exams
from flantune.commands.tracking import conclude_tracking, tracking
from flantune.errors import ConfigError, FlantuneError
from flantune.evaluation.asking.ask import ask
from flantune.evaluation.asking.score_store import ScoreStore
from flantune.evaluation.asking.session import Session
from flantune.evaluation.asking.task_questions import TaskQuestions, drawn_rows
from flantune.evaluation.dev_scores import make_measure
from flantune.mixture.holdout import run_folds
from flantune.mixture.sheet import empty_parts
from flantune.models.adapters import attach_adapter, merged
from flantune.models.arithmetic import dtype_name
from flantune.models.language_model import LanguageModel
from flantune.models.load import load_model, save_model, stop_at
from flantune.models.scratch import build_model
from flantune.models.writing.endings import keep_template
from flantune.packing.chat import chat_tokens
from flantune.packing.encode import border_mismatches
from flantune.report.numbers import plural
from flantune.report.page import write_report
from flantune.runs.files import read_mixture, read_results, read_training
from flantune.runs.folder import FoldFolder, RunFolder, open_run_folder
from flantune.runs.identity import training_identity
from flantune.runs.products import DataReport
from flantune.runs.run import Run
from flantune.settings.json_file import read_value, write_value
from flantune.settings.run_file import RunFile, fingerprint
from flantune.system.files import read_text, write_json, write_text
from flantune.system.locking import locked
from flantune.system.manifest import Stopwatch, write_manifest
from flantune.system.processes import Processes, joined
from flantune.system.progress import Reporter, Silent
from flantune.tasks.describe import describe_task, task_fingerprint
from flantune.tasks.repeated_rows import find_repeated_rows
from flantune.tracking.tracker import check_trackers
from flantune.training.loop import tune

if TYPE_CHECKING:
    from flantune.evaluation.exams import Exam
    from flantune.mixture.holdout import FoldTasks
    from flantune.packing.stream import PromptStream
    from flantune.settings.config import RunConfig
    from flantune.tasks.example_store import PreparedTask
    from flantune.training.tuning_summary import TuningProgress

# Number of prompts for measuring the share of borders that tokenize differently.
_BORDER_PROMPTS = 500


@dataclass(frozen=True, slots=True)
class _Job:
    """What all steps of a run need."""

    config: RunConfig
    root: Path
    folder: RunFolder
    watch: Stopwatch
    reporter: Reporter
    processes: Processes


def run(file: RunFile, *, out: Path, reporter: Reporter | None = None) -> Run:
    """Tunes a model on many tasks and measures it on held-out clusters.

    All files go into ``out``; repeating the call resumes an interrupted run. Under ``torchrun`` all processes make
    this call and share the work; the first one prepares the data for the others, and writes.

    Raises:
        flantune.errors.FlantuneError: Something the user can fix; finished work stays on disk.

    Paper: FLAN 2021, section 2.
    """
    with joined() as processes, ExitStack() as until_done:
        job = _start(file, out, reporter or Silent(), processes=processes, until_done=until_done)
        prepared, identity = _prepare(job)
        folds = [split_fold(job.config, [p.task for p in prepared], fold) for fold in run_folds(job.config.holdout)]
        suites = processes.in_turn(lambda: suite_exams(job.config))
        check_unseen(job.config, prepared, folds, suites.exams)
        every = measured_tasks(job.config, prepared, folds)
        loaded = [_base_model(job, prepared, attention="auto")]
        check_before(job.config, prepared, loaded[0], measured=every, note=job.reporter.note)
        if job.config.model.attention != "auto":
            loaded.clear()
        for split in folds:
            # One model at a time: the first fold tunes the model that was checked.
            tuned = _tune_fold(job, prepared, split, base=loaded.pop() if loaded else None, identity=identity)
            folder = job.folder.fold(split.held_out).tuned
            _measure(
                job,
                tuned,
                measured_tasks(job.config, prepared, [split]),
                suites.exams,
                folder=folder,
                title=f"the model tuned without {_names(split)}" if split.held_out else "the tuned model",
            )
            del tuned
        base = _base_model(job, prepared, attention="auto")
        _measure(job, base, every, suites.exams, folder=job.folder.base, title="the base model")
        job.processes.first(lambda: _conclude(job, identity=identity))
        return Run(folder=job.folder.root, results=read_results(job.folder.root))


def _start(file: RunFile, out: Path, reporter: Reporter, *, processes: Processes, until_done: ExitStack) -> _Job:
    check_trackers(file.config.tracking.to)

    def claim() -> None:
        until_done.enter_context(locked(out))
        open_run_folder(out, file)

    processes.first(claim)
    told = reporter if processes.is_first else Silent()
    watch = Stopwatch(RunFolder(out).seconds if processes.is_first else None, note=told.note)
    return _Job(file.config, file.root, RunFolder(out), watch, told, processes)


def _prepare(job: _Job) -> tuple[list[PreparedTask], str]:
    """Reads the tasks' rows; returns them with a fingerprint of every definition and every row.

    The first process reads them into the cache, from which the others, which wait, read them.
    """
    prepared, identity = job.processes.in_turn(lambda: _read_tasks(job))
    job.processes.check_agreement(identity, what="the fingerprint of settings and data")
    return prepared, identity


def _read_tasks(job: _Job) -> tuple[list[PreparedTask], str]:
    job.reporter.stage("read the tasks")
    with job.watch.stage("tasks"):
        prepared, skipped = prepare_tasks(
            job.config,
            root=job.root,
            cache=job.config.data.cache or job.folder.rows,
            on_task=job.reporter.step,
            note=job.reporter.note,
        )
    for name, reason in skipped.items():
        job.reporter.note(f"{name} is left out: {reason}")
    clean = job.config.data.clean
    left_out = read_text(clean, error=ConfigError, what="filter file") if clean is not None else None
    identity = fingerprint(training_identity(job.config), [task_fingerprint(p) for p in prepared], left_out)
    if job.folder.data.exists() and _earlier_data(job.folder.data) != identity:
        raise ConfigError(
            "the tasks or their data changed since this run began",
            where=str(job.folder.root),
            hint="choose another --out, or delete the folder",
        )
    if job.processes.is_first:
        described = tuple(describe_task(p, repeated=_repeated(p, job.config)) for p in prepared)
        write_value(job.folder.data, DataReport(identity=identity, skipped=skipped, tasks=described))
    return prepared, identity


def _earlier_data(path: Path) -> str:
    mends = "delete this file and repeat the command: it is written again"
    return read_value(path, DataReport, mends=mends).identity


def _repeated(prepared: PreparedTask, config: RunConfig) -> str:
    """Why a task's measured rows are not independent observations; empty if they are."""
    how = TaskQuestions(evaluation=config.evaluation, prompts=config.prompts, seed=config.seed)
    rows = [prepared.stores["test"][at] for at in drawn_rows(prepared, how).get("test", ())]
    return str(find_repeated_rows(prepared.task, rows) or "")


def _base_model(
    job: _Job, prepared: Sequence[PreparedTask], *, attention: Literal["auto"] | None = None
) -> LanguageModel:
    """The pretrained model; one built from scratch is stored with the run, since every fold starts from it.

    Args:
        job: The run.
        prepared: Its tasks.
        attention: "auto": as the model was pretrained, for measuring; None: as it is tuned.
    """
    config = job.config
    settings = config.model if attention is None else config.model.model_copy(update={"attention": attention})
    if config.model.scratch is None:
        job.reporter.stage(f"load the model {config.model.path}")
        return load_model(settings, family=config.family)
    scratch, folder = config.model.scratch, job.folder.base / "model"

    def make() -> None:
        if folder.exists():
            return
        job.reporter.stage("build a model from scratch, with a tokenizer trained on training prompts")
        with job.watch.stage("base model"):
            tokenizer, _ = make_tokenizer(config, prepared)
            made = build_model(scratch, tokenizer, seed=config.seed)
            save_model(made, folder, card="A small random model: the starting point of a flantune run.\n")

    job.processes.first(make)
    return load_model(settings.model_copy(update={"path": str(folder)}), family=config.family)


def _measure(
    job: _Job, lm: LanguageModel, prepared: Sequence[PreparedTask], suites: Sequence[Exam], *, folder: Path, title: str
) -> None:
    if not prepared and not suites:
        return
    also = f" and {plural(len(suites), 'part')} of benchmarks" if suites else ""
    job.reporter.stage(f"measure {title} on {plural(len(prepared), 'task')}{also}")
    with job.watch.stage("evaluation"):
        config, prompts = job.config, asked_prompts(job.config)
        session = Session(
            lm=lm,
            folder=folder,
            store=ScoreStore(config.evaluation.store or folder / "store"),
            batch_tokens=config.evaluation.batch_tokens,
            chat=chat_tokens(lm.tokenizer, prompts),
            backend=config.evaluation.backend,
        )
        exams = [*task_exams(config, prepared), *suites]
        for exam in exams:
            for note in exam.notes:
                job.reporter.note(f"{exam.key}: {note}")
        measured = ask(
            session,
            exams,
            progress=lambda p: job.reporter.step(p.done, p.total, f"{p.exam}: {p.done:,} of {p.total:,} prompts"),
        )
    for note in measured_notes(measured):
        job.reporter.note(note)


def _tune_fold(
    job: _Job, prepared: Sequence[PreparedTask], split: FoldTasks, *, base: LanguageModel | None, identity: str
) -> LanguageModel:
    """The model tuned on everything a fold does not hold out; loaded if it is already tuned.

    Args:
        job: The run.
        prepared: Its tasks.
        split: The fold.
        base: The model to tune, which is changed; None: it is loaded.
        identity: Of settings and data.
    """
    folder = job.folder.fold(split.held_out)
    if job.processes.any(job.processes.is_first and folder.training.exists()):
        del base
        job.processes.first(lambda: _tidy_finished(job, folder, prepared, split))
        return load_model(job.config.model.model_copy(update={"path": str(folder.model)}), family=job.config.family)
    lm = attach_adapter(base or _base_model(job, prepared), job.config.model, seed=job.config.seed)
    del base
    blind = f", without {_names(split)}" if split.held_out else ""
    job.reporter.stage(f"tune on {plural(len(split.train), 'task')}{blind}")
    following = tracking(
        job.config, folder.metrics, fold=folder.root.name, note=job.reporter.note, is_first=job.processes.is_first
    )
    with job.watch.stage("training"), following as followers:
        mixture = make_mixture(job.config, prepared, split)
        stream = make_stream(job.config, mixture, lm)
        notes = training_notes(mixture, stream.codec, job.config.packing)
        for note in (*empty_parts(mixture.portions, job.config.mixture), *notes):
            job.reporter.note(note)
        job.processes.first(lambda: write_mixture(folder, split, mixture, prepared, draws=0))
        taught = trained_tasks(job.config, prepared, split)

        def told(progress: TuningProgress) -> None:
            job.reporter.step(progress.step, progress.steps, str(progress))
            followers.tell()

        batches = make_batches(
            job.config,
            with_prepared(job.config, stream, mixture, prepared, split, note=job.reporter.note),
            lm,
            micro_batch_tokens=micro_batch_tokens(
                job.config, lm, kept=folder.micro_batch, processes=job.processes, note=job.reporter.note
            ),
            processes=job.processes.count,
            note=job.reporter.note,
        )
        settings = planned(job.config.training, mixture, batches)
        for text, hint in few_steps(job.config.training, settings, mixture, batches, job.config.packing):
            job.reporter.note(f"{text}: {hint}")
        summary = tune(
            lm,
            batches,
            settings,
            folder=folder.root,
            seed=job.config.seed,
            progress=told,
            fingerprint=fingerprint(identity, split.held_out),
            clusters={p.task.name: p.task.clusters for p in taught},
            measure=_dev_measure(job, taught, lm, stream),
            note=job.reporter.note,
        )
        for note in length_notes(job.config.training, settings, summary):
            job.reporter.note(note)
    job.reporter.stage("save the tuned model and the record of its training data")
    with job.watch.stage("saving"):
        job.processes.first(lambda: write_mixture(folder, split, mixture, prepared, draws=summary.cursor))
        card = fold_card(job.config, folder, results=None, attention=lm.attention)
        stop_at(lm, stream.codec.eos_token)
        if stream.codec.chat is not None:
            keep_template(lm, stream.codec.chat)
        lm = _store(job, folder, lm, card=card)

        def close() -> None:
            write_fold_record(job.config, folder, prepared, split, mixture, identity=identity, reporter=job.reporter)
            mismatch = border_mismatches(stream.codec, [mixture[i] for i in range(_BORDER_PROMPTS)])
            computed = dtype_name(lm.compute_dtype)
            whole = replace(summary, border_mismatch_share=mismatch, processes=job.processes.count, arithmetic=computed)
            write_json(folder.training, whole.to_json())
            drop_checkpoints(folder)

        job.processes.first(close)
    return lm


def _tidy_finished(job: _Job, folder: FoldFolder, prepared: Sequence[PreparedTask], split: FoldTasks) -> None:
    """Makes sure that a finished fold's files can be read, and makes them again if possible."""
    draws = read_training(folder).cursor
    try:
        read_mixture(folder)
    except FlantuneError as error:
        job.reporter.note(f"written again, since it was damaged: {error.render().partition(chr(10))[0]}")
        write_mixture(folder, split, make_mixture(job.config, prepared, split), prepared, draws=draws)
    drop_checkpoints(folder)


def _dev_measure(
    job: _Job, taught: Sequence[PreparedTask], lm: LanguageModel, stream: PromptStream
) -> Callable[[int], dict[str, float]] | None:
    """A function that measures dev rows of the tasks trained on; it has no access to any others."""
    settings = job.config.training
    if not settings.measure_every:
        return None
    asked = check_dev_rows(job.config, taught)
    return make_measure(lm, asked, codec=stream.codec, batch_tokens=job.config.evaluation.batch_tokens)


def _store(job: _Job, folder: FoldFolder, lm: LanguageModel, *, card: str) -> LanguageModel:
    """Writes the tuned model; with its adapter separate and merged if the run file sets it. Returns what it is."""
    settings, adapted = job.config.model, lm
    if settings.merge_adapter:
        job.processes.first(lambda: save_model(adapted, folder.adapter, card=card))
        # An adapter cannot be added to 4-bit weights: it is added to the original weights.
        whole = {"path": str(folder.adapter), "quantize": "none"}
        answers = lm.model.generation_config
        lm = merged(lm if settings.quantize == "none" else load_model(settings.model_copy(update=whole)))
        lm.model.generation_config = answers
    job.processes.first(lambda: save_model(lm, folder.model, card=card))
    return lm


def _conclude(job: _Job, *, identity: str) -> None:
    """Scores the samples, fills in the model cards, writes manifest and report."""
    job.reporter.stage("score, write the report")
    with job.watch.stage("report"):
        results = summarize_run(job.folder, job.config, settings=job.config.evaluation)
        for held in run_folds(job.config.holdout):
            fold = job.folder.fold(held.held_out)
            write_text(fold.card, fold_card(job.config, fold, results=results))
    # The report shows the manifest, and the manifest lists the report, so it is written before and after.
    write_manifest(job.folder.root, seconds=job.watch.seconds, fingerprints={"run": identity})
    with job.watch.stage("report"):
        write_report(job.folder.root)
    write_manifest(job.folder.root, seconds=job.watch.seconds, fingerprints={"run": identity})
    conclude_tracking(job.config, job.folder.root, results, note=job.reporter.note)


def _names(split: FoldTasks) -> str:
    return ", ".join(split.held_out) or "no task"
