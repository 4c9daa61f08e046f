"""Pretraining: a model learns from plain text, from scratch or from where another training left it."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from flantune.commands.micro_batch import micro_batch_tokens
from flantune.commands.plan import check_attention, make_batches
from flantune.commands.planned_steps import planned
from flantune.commands.tracking import PRETRAINED, tracking
from flantune.errors import ConfigError
from flantune.models.arithmetic import slow_arithmetic
from flantune.models.language_model import embedded_tokens
from flantune.models.load import detect_family, load_config, load_model, load_tokenizer, save_model
from flantune.models.scratch import build_model, train_tokenizer
from flantune.pretraining.choose import HIDES_SPANS, check_objective, choose_objective
from flantune.pretraining.corpus import read_corpus, read_rows_corpus
from flantune.pretraining.marks import add_sentinels
from flantune.pretraining.text_stream import TextStream
from flantune.report.card import PREFIX_WARNING
from flantune.runs.folder import RunFolder, open_run_folder
from flantune.runs.identity import content_digest, training_identity
from flantune.settings.json_file import read_value, write_value
from flantune.settings.run_file import fingerprint
from flantune.system.files import write_json
from flantune.system.locking import locked
from flantune.system.manifest import Stopwatch, write_manifest
from flantune.system.processes import joined
from flantune.system.progress import Silent
from flantune.tasks.sources.hub import HubSource
from flantune.tracking.tracker import check_trackers
from flantune.training.loop import tune
from flantune.training.tuning_summary import TuningSummary

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel
    from flantune.pretraining.corpus import FileCorpus
    from flantune.settings.config import RunConfig
    from flantune.settings.pretraining import PretrainingSettings
    from flantune.settings.run_file import RunFile
    from flantune.system.processes import Processes
    from flantune.system.progress import Reporter
    from flantune.training.tuning_summary import TuningProgress
    from flantune.types import Family


@dataclass(frozen=True, slots=True, kw_only=True)
class TextReport:
    """What ``text.json`` says of the text that is read.

    Attributes:
        identity: Changes when the text does.
        documents: How many there are; a long one counts as several.
    """

    identity: str
    documents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """What pretraining ended with.

    Attributes:
        folder: Of the run.
        model: The model, in Hugging Face form.
        documents: How many the text has.
        summary: The training in numbers.
    """

    folder: Path
    model: Path
    documents: int
    summary: TuningSummary


def pretrain(file: RunFile, *, out: Path, reporter: Reporter | None = None) -> Pretrained:
    """Trains a model on text, as ``[pretraining]`` of a run file says; the same call again goes on where it stopped.

    The sections ``model``, ``packing`` and ``training`` mean what they mean in a run. Under ``torchrun`` all processes
    make this call and share the work.

    Args:
        file: The run file.
        out: Folder of the run; ``out/model`` is the model.
        reporter: Is told how far it is.

    Raises:
        FlantuneError: Something the user can fix; what is done so far stays on disk.
    """
    config = file.config
    settings = _checked(config)
    check_trackers(config.tracking.to)
    with joined() as processes, ExitStack() as until_done:
        told = (reporter or Silent()) if processes.is_first else Silent()

        def claim() -> None:
            until_done.enter_context(locked(out))
            open_run_folder(out, file)

        processes.first(claim)
        folder = RunFolder(out)
        watch = Stopwatch(folder.seconds if processes.is_first else None, note=told.note)
        told.stage("read the text")
        with watch.stage("text"):
            corpus = processes.in_turn(lambda: _read(config, settings, out))
            processes.check_agreement(corpus.identity, what="the text")
            report = TextReport(identity=corpus.identity, documents=corpus.size)
            processes.first(lambda: _note_text(report, out / "text.json"))
        if not processes.any(processes.is_first and (out / "training.json").exists()):
            with watch.stage("training"):
                _train(config, settings, corpus, folder, processes=processes, reporter=told)
            seconds, identity = watch.seconds, training_identity(config)
            processes.first(lambda: write_manifest(out, seconds=seconds, fingerprints={"pretraining": identity}))
        mends = "delete this file and repeat the command: the last checkpoint is gone, so training starts again"
        summary = read_value(out / "training.json", TuningSummary, mends=mends)
        return Pretrained(folder=out, model=out / "model", documents=corpus.size, summary=summary)


def _checked(config: RunConfig) -> PretrainingSettings:
    """The section, after all that can be known before the text is read."""
    settings = config.pretraining
    if settings is None:
        hint = 'write [pretraining] with files = ["my_texts"]; docs/pretraining.md has all of it'
        raise ConfigError("the run file does not say what to pretrain on", where="pretraining", hint=hint)
    if config.model.adapter != "none":
        hint = 'set model.adapter = "none"'
        raise ConfigError("pretraining trains whole models, no adapters", where="model.adapter", hint=hint)
    if config.training.measure_every:
        hint = "set training.measure_every = 0"
        raise ConfigError("text has no dev questions", where="training.measure_every", hint=hint)
    if config.model.scratch is None and not config.model.path:
        hint = 'set model.path = "…" to continue from a model, or write [model.scratch] to start from scratch'
        raise ConfigError("there is no model to train", where="model", hint=hint)
    _check_attention(config, settings)
    row_tokens = config.packing.row_tokens
    if config.model.scratch is not None:
        check_objective(settings, _family(config), row_tokens=row_tokens)
    else:
        tokenizer = load_tokenizer(config.model)
        if settings.objective in HIDES_SPANS:
            add_sentinels(tokenizer, settings.sentinels)
        choose_objective(settings, tokenizer, _family(config), row_tokens=row_tokens)
    return settings


def _check_attention(config: RunConfig, settings: PretrainingSettings) -> None:
    check_attention(config, _family(config))
    if config.model.attention == "prefix" and settings.objective == "causal":
        hint = 'set pretraining.objective to "prefix", "ul2r", "ul2" or "span_corruption"'
        message = 'objective "causal" has no inputs that could see each other'
        raise ConfigError(message, where="model.attention", hint=hint)


def _family(config: RunConfig) -> Family:
    if config.model.scratch is not None:
        return "encoder-decoder" if config.model.scratch.architecture == "t5" else "decoder-only"
    return config.family or detect_family(load_config(config.model))


def _read(config: RunConfig, settings: PretrainingSettings, out: Path) -> FileCorpus:
    cache, seed = config.data.cache or out / "text", config.seed if settings.shuffled else None
    if settings.hub is None:
        paths = [Path(pattern) for pattern in settings.files]
        return read_corpus(paths, cache=cache, column=settings.column, seed=seed)
    hub = settings.hub
    source = HubSource(id=hub.id, config=hub.config, revision=hub.revision, mirror=config.data.mirror)
    return read_rows_corpus(source, hub.split, cache=cache, column=settings.column, seed=seed)


def _note_text(now: TextReport, path: Path) -> None:
    if path.exists():
        mends = "delete this file and repeat the command: it is written again"
        if read_value(path, TextReport, mends=mends).identity != now.identity:
            hint = "choose another --out, or delete the folder"
            raise ConfigError("the text changed since this run began", where=str(path.parent), hint=hint)
    write_value(path, now)


def _train(
    config: RunConfig,
    settings: PretrainingSettings,
    corpus: FileCorpus,
    folder: RunFolder,
    *,
    processes: Processes,
    reporter: Reporter,
) -> None:
    lm = _base_model(config, settings, corpus, folder, processes=processes, reporter=reporter)
    if slow := slow_arithmetic(lm.compute_dtype, lm.device):
        reporter.note(slow)
    row_tokens = config.packing.row_tokens
    objective = choose_objective(settings, lm.tokenizer, lm.family, row_tokens=row_tokens)
    stream = TextStream(corpus, lm.tokenizer, objective, row_tokens=row_tokens, seed=config.seed)
    out = folder.root
    reporter.stage(f"pretrain: {settings.objective}, {corpus.size:,} documents")
    following = tracking(
        config, out / "metrics.jsonl", fold=PRETRAINED, note=reporter.note, is_first=processes.is_first
    )
    with following as followers:

        def told(progress: TuningProgress) -> None:
            reporter.step(progress.step, progress.steps, str(progress))
            followers.tell()

        summary = tune(
            lm,
            make_batches(
                config,
                stream,
                lm,
                micro_batch_tokens=micro_batch_tokens(
                    config, lm, kept=out / "micro_batch.json", processes=processes, note=reporter.note
                ),
                processes=processes.count,
                note=reporter.note,
            ),
            planned(config.training),
            folder=out,
            seed=config.seed,
            fingerprint=fingerprint(training_identity(config), stream.identity, _begun(config, folder)),
            progress=told,
            note=reporter.note,
        )
    reporter.stage("save the model")

    def close() -> None:
        warning = f"\n{PREFIX_WARNING}\n" if lm.reads_both_ways else ""
        save_model(lm, out / "model", card=_card(config, settings, corpus, summary) + warning)
        write_json(out / "training.json", replace(summary, processes=processes.count).to_json())
        shutil.rmtree(out / "checkpoints", ignore_errors=True)

    processes.first(close)


def _begun(config: RunConfig, folder: RunFolder) -> str:
    """A digest of the model that was built from scratch; one that was loaded counts by the run's identity."""
    return content_digest(folder.base / "model") if config.model.scratch is not None else ""


def _base_model(
    config: RunConfig,
    settings: PretrainingSettings,
    corpus: FileCorpus,
    folder: RunFolder,
    *,
    processes: Processes,
    reporter: Reporter,
) -> LanguageModel:
    """The model to begin with, its vocabulary with the sentinels that the objective needs."""
    count = settings.sentinels if settings.objective in HIDES_SPANS else 0
    if config.model.scratch is None:
        reporter.stage(f"load the model {config.model.path}")
        return _with_sentinels(load_model(config.model, family=config.family), count, seed=config.seed)
    scratch, kept = config.model.scratch, folder.base / "model"

    def make() -> None:
        if kept.exists():
            return
        reporter.stage("build a model from scratch, with a tokenizer trained on the text")
        texts = (corpus[number] for number in range(min(settings.tokenizer_documents, corpus.size)))
        tokenizer = train_tokenizer(texts, vocabulary_size=max(1, scratch.vocabulary_size - count))
        add_sentinels(tokenizer, count)
        made = build_model(scratch, tokenizer, seed=config.seed)
        save_model(made, kept, card="A small random model: the starting point of pretraining with flantune.\n")

    processes.first(make)
    return load_model(config.model.model_copy(update={"path": str(kept), "scratch": None}), family=config.family)


def _with_sentinels(lm: LanguageModel, count: int, *, seed: int) -> LanguageModel:
    """The model with sentinels added to its vocabulary, where it lacks some; their embeddings are drawn by the seed."""
    model: Any = lm.model
    if add_sentinels(lm.tokenizer, count) and len(lm.tokenizer) > embedded_tokens(model):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model.resize_token_embeddings(len(lm.tokenizer), mean_resizing=False)
    return lm


def _card(config: RunConfig, settings: PretrainingSettings, corpus: FileCorpus, summary: TuningSummary) -> str:
    tokens = summary.counts.input_tokens + summary.counts.target_tokens
    begun = config.model.path or "nothing"
    return (
        f"# {config.name}\n\nPretrained with flantune: objective `{settings.objective}`, {summary.steps:,} steps,"
        f" {tokens:,} tokens of {corpus.size:,} documents, started from {begun}.\n"
    )
