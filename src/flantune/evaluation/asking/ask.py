"""Measure one model on many tasks: prompts in, samples on disk out."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.errors import EvaluationError
from flantune.evaluation.asking.baselines import Blank, blank_of, option_baselines
from flantune.evaluation.asking.options import GROUP_PROMPTS, PromptScorer, scoring_codec, within_positions
from flantune.evaluation.asking.spared import spared_separators
from flantune.evaluation.asking.store import ScoreStore
from flantune.evaluation.asking.task_questions import Protocol, Question, asked_examples, count_questions, questions
from flantune.evaluation.metrics.by_name import check_metrics
from flantune.evaluation.metrics.rank_classification import BASELINES
from flantune.evaluation.metrics.readable import MOST_LOOKED_AT, check_readable
from flantune.evaluation.samples import (
    Origin,
    read_origin,
    samples_path,
    unanswered,
    write_origin,
    write_samples,
)
from flantune.packing.chat import chat_tokens
from flantune.packing.codec_for import codec_for
from flantune.prompts.layout import EOS_WORD, Layout
from flantune.system.files import file_sha256
from flantune.types import Counts, Sample

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel
    from flantune.models.writing.decoding import Writer
    from flantune.packing.encode import Codec
    from flantune.settings.config import EvaluationSettings, PackingSettings, PromptSettings
    from flantune.system.processes import Processes
    from flantune.tasks.store import PreparedTask

# Part of every fingerprint: raise it when the same prompts and weights would give other samples.
_PROTOCOL_VERSION = 4

# The choices of a codec that decide on samples.
_KNOBS = (
    "max_input_tokens",
    "max_target_tokens",
    "max_row_tokens",
    "score_eos",
    "inputs_eos",
    "drops_exemplars",
    "truncation",
    "tokenization",
    "joint_cut",
    "prefix",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far measuring has come.

    Attributes:
        task: The task at work.
        done: Prompts of it that are scored.
        total: Prompts of it.
        seconds: Since the task began.
    """

    task: str
    done: int
    total: int
    seconds: float

    def __str__(self) -> str:
        rate = f", {self.done / self.seconds:.0f} prompts/s" if self.seconds > 0 else ""
        return f"{self.task}: {self.done} of {self.total} prompts{rate}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """One task that is measured.

    Attributes:
        task: Its name.
        path: Its samples.
        origin: How many, and what was shortened or dropped on the way.
        is_reused: The samples were there already, from the same model and prompts.
    """

    task: str
    path: Path
    origin: Origin
    is_reused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """What scoring each task of one call shares."""

    scorer: PromptScorer
    protocol: Protocol
    model_fingerprint: str
    store: ScoreStore
    writer: Writer
    progress: Callable[[Progress], None] | None

    @property
    def codec(self) -> Codec:
        return self.scorer.codec

    @property
    def lm(self) -> LanguageModel:
        return self.scorer.lm

    @property
    def processes(self) -> Processes:
        return self.scorer.processes


def evaluate(
    lm: LanguageModel,
    prepared: Sequence[PreparedTask],
    settings: EvaluationSettings,
    *,
    folder: Path,
    seed: int,
    prompts: PromptSettings,
    packing: PackingSettings,
    progress: Callable[[Progress], None] | None = None,
    writer: Writer | None = None,
) -> tuple[Evaluated, ...]:
    """Asks a model every task in every forward template and writes what it answers to ``folder/samples``.

    Classification tasks are answered by rank classification, generation tasks by greedy decoding. Which prompts are
    asked depends on tasks, settings and seed alone, so two models measured by two calls are asked the same. A task
    whose samples are complete and were made from the same prompts by the same model is not measured again; of others,
    what the store has is not computed again. Under ``torchrun`` all processes make this call and share the work.

    Args:
        lm: The model; it is not changed.
        prepared: The tasks.
        settings: Rows, shots, templates, protocol, store.
        folder: Where ``samples/`` goes, and ``store/`` unless the settings say where.
        seed: Names the random draws of rows and exemplars.
        prompts: Style and separators.
        packing: Token budgets of inputs and targets.
        progress: Called after each batch.
        writer: Of the settings' backend, where it has been started already.

    Raises:
        EvaluationError: A task cannot be measured, a metric cannot read its references, or the model gives scores that
            are not numbers.

    Paper: FLAN 2021, section 2.3 and 3.
    """
    from flantune.evaluation.asking.answers import writer_for
    from flantune.models.digests import model_fingerprint

    protocol = Protocol(evaluation=settings, prompts=prompts, seed=seed)
    for entry in prepared:
        check_metrics(entry.task)
        check_readable(entry.task, asked_examples(entry, protocol, most=MOST_LOOKED_AT))
    fingerprint = model_fingerprint(lm)
    store = ScoreStore(settings.store or folder / "store")
    codec = _codec(lm, settings, prompts, packing)
    writes = any(entry.task.kind == "generation" for entry in prepared)
    if writes and settings.backend != "transformers":
        # Another engine's arithmetic: its answers are not those in the store.
        fingerprint = f"{fingerprint} {settings.backend}"
    session = _Session(
        scorer=PromptScorer(lm, codec, store=store, batch_tokens=settings.batch_tokens, fingerprint=fingerprint),
        protocol=protocol,
        model_fingerprint=fingerprint,
        store=store,
        writer=writer or writer_for(lm, settings.backend if writes else "transformers"),
        progress=progress,
    )
    return tuple(_evaluate_task(session, entry, folder=folder) for entry in prepared)


def _codec(lm: LanguageModel, settings: EvaluationSettings, prompts: PromptSettings, packing: PackingSettings) -> Codec:
    """How the protocol turns prompts into tokens for this model."""
    codec = codec_for(
        lm,
        layout=Layout.from_settings(prompts),
        max_input_tokens=packing.max_input_tokens,
        max_target_tokens=packing.max_target_tokens,
        chat=chat_tokens(lm.tokenizer, prompts),
    )
    return scoring_codec(codec, settings.scoring)


def _evaluate_task(session: _Session, prepared: PreparedTask, *, folder: Path) -> Evaluated:
    """One task: reuse its samples or make them. Of several processes the first writes."""
    started = time.perf_counter()
    name, processes = prepared.task.name, session.processes
    path = samples_path(folder, name)
    if session.progress is not None:  # naming all prompts by content takes a while, too
        total = count_questions(prepared, session.protocol)
        session.progress(Progress(task=name, done=0, total=total, seconds=0.0))
    fingerprint = _fingerprint(session, prepared)
    found = processes.gather(read_origin(path) if processes.is_first else None)[0]
    if found is not None and found.fingerprint == fingerprint:
        return Evaluated(task=name, path=path, origin=found, is_reused=True)
    counts: list[Counts] = []
    samples = _samples(session, prepared, counts=counts, started=started)
    written = write_samples(path, samples) if processes.is_first else sum(1 for _ in samples)
    if not written:
        hint = "raise packing.max_target_tokens, have 0 among evaluation.shots, or leave it out with data.exclude"
        raise EvaluationError("not one prompt of the task could be scored", where=name, hint=hint)
    made = None
    if processes.is_first:
        made = Origin(
            fingerprint=fingerprint,
            samples=written,
            sha256=file_sha256(path),
            counts=sum(counts, Counts()),
            seconds=time.perf_counter() - started,
        )
        write_origin(path, made)
    origin = processes.gather(made)[0]
    if origin is None:  # pragma: no cover - the first process has made it
        raise EvaluationError("the first process gave no samples", where=name)
    return Evaluated(task=name, path=path, origin=origin, is_reused=False)


def _samples(session: _Session, prepared: PreparedTask, *, counts: list[Counts], started: float) -> Iterator[Sample]:
    """The samples of a task in the order of its questions; what happened to the prompts is added to ``counts``."""
    total, before = count_questions(prepared, session.protocol), 0
    answer = partial(_write, spared=spared_separators(prepared, session.protocol, separator=_separator(session)))
    if prepared.task.kind == "classification":
        answer = partial(_rank, blank=blank_of(prepared, session.protocol))
    for block in _blocks(questions(prepared, session.protocol), session.scorer.wave_prompts):

        def report(done: int, _: int, *, before: int = before) -> None:
            if session.progress is not None:
                seconds = time.perf_counter() - started
                session.progress(Progress(task=prepared.task.name, done=before + done, total=total, seconds=seconds))

        yield from answer(session, block, counts, report)
        before += len(block)


def _blocks(asked: Iterator[Question], size: int) -> Iterator[list[Question]]:
    """Questions in blocks of about ``size`` that end where a group ends (see ``PromptScorer``)."""
    block: list[Question] = []
    for _, members in groupby(asked, key=lambda each: (each.shots, each.prompt.split, each.prompt.template)):
        held: list[Question] = []
        for question in members:
            held.append(question)
            if len(held) == GROUP_PROMPTS:
                block, held = [*block, *held], []
                if len(block) >= size:
                    yield block
                    block = []
        block += held
        if len(block) >= size:
            yield block
            block = []
    if block:
        yield block


_Report = Callable[[int, int], None]


def _rank(
    session: _Session, block: Sequence[Question], counts: list[Counts], report: _Report, *, blank: Blank
) -> Iterator[Sample]:
    """Rank classification of a block; prompts with an option too long are left out (and counted)."""
    prompts = [question.prompt for question in block]
    scored = session.scorer.score(prompts, progress=report)
    protocol = session.protocol.evaluation.scoring
    baselines = option_baselines(session.scorer, prompts, protocol, blank=blank)
    for question, found, own in zip(block, scored, baselines, strict=True):
        is_asked = found is not None and own is not None
        counts.append(found.counts if found is not None and is_asked else Counts(prompts_dropped=1))
        if found is not None and own is not None:
            sample = _sample(session, question, found.counts)
            yield replace(sample, scores=found.sums, lengths=found.tokens, greedy=found.greedy, baselines=own)


def _write(
    session: _Session, block: Sequence[Question], counts: list[Counts], report: _Report, *, spared: int
) -> Iterator[Sample]:
    """Greedy answers to a block."""
    from flantune.evaluation.asking.shared_writing import shared_texts

    settings = session.protocol.evaluation
    codec = within_positions(session.codec, session.lm, room=settings.max_new_tokens)
    prompts = [question.prompt for question in block]
    encoded = codec.encode_prompts(prompts, continuations="none")
    counts.append(encoded.counts)
    samples = [_sample(session, question, each) for question, each in zip(block, encoded.each, strict=True)]
    texts = shared_texts(
        session.lm,
        prompts,
        encoded,
        codec=codec,
        stop=[_stop(session, sample) for sample in samples],
        spared=spared,
        max_new_tokens=settings.max_new_tokens,
        batch_tokens=settings.batch_tokens,
        store=session.store,
        fingerprint=session.model_fingerprint,
        processes=session.processes,
        progress=report,
        writer=session.writer,
    )
    for sample, written in zip(samples, texts, strict=True):
        for text in written[:1]:
            yield replace(sample, prediction=text.strip())


def _sample(session: _Session, question: Question, counts: Counts) -> Sample:
    """What was asked, as the model read it; not yet answered."""
    return unanswered(question.prompt, counts, shots=question.shots, layout=session.codec.layout)


def _stop(session: _Session, sample: Sample) -> tuple[str, ...]:
    """What ends an answer.

    After solved examples a model that was never taught to stop goes on with the next one. What follows the separator
    of exemplars is that next one, so it is cut off, for the base model and the tuned model alike; otherwise tuning
    would seem to teach answers where it only teaches to stop. Where right answers hold the separator themselves, as
    many are spared as the one with most of them has (``spared_separators``).
    """
    separator = _separator(session)
    return (separator,) if sample.exemplar_rows and separator else ()


def _separator(session: _Session) -> str:
    """What stands between one exemplar and the next, as a model would write it; nothing where both are turns."""
    if session.codec.chat is not None and session.codec.chat.has_turns:
        return ""
    return session.codec.layout.exemplar_separator.replace(EOS_WORD, "")


def _baseline_choices(settings: EvaluationSettings, kind: str) -> dict[str, object]:
    """What was asked besides the prompts; nothing where nothing was."""
    if kind != "classification" or settings.normalization not in BASELINES:
        return {}
    protocol = settings.scoring
    return {"baselines": [protocol.normalization, protocol.domain_premise, protocol.content_free]}


def _fingerprint(session: _Session, prepared: PreparedTask) -> str:
    """Names everything the samples depend on by content: the model, the limits, and every prompt word for word.

    So a changed template, adapter, row, seed or separator cannot meet samples of the old one.
    """
    settings, codec = session.protocol.evaluation, session.codec
    limits = {
        "version": _PROTOCOL_VERSION,
        "model": session.model_fingerprint,
        "kind": prepared.task.kind,
        "layout": asdict(codec.layout),
        "codec": {name: getattr(codec, name) for name in _KNOBS},
        "chat": codec.chat.identity if codec.chat is not None else None,
        "max_new_tokens": settings.max_new_tokens if prepared.task.kind == "generation" else None,
        **_baseline_choices(settings, prepared.task.kind),
    }
    digest = hashlib.sha256(json.dumps(limits, sort_keys=True).encode())
    for question in questions(prepared, session.protocol):
        digest.update(json.dumps(asdict(question), sort_keys=True).encode())
    return digest.hexdigest()
