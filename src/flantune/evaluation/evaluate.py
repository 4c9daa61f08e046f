"""Measure one model on many tasks: prompts in, samples on disk out."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.errors import EvaluationError
from flantune.evaluation.metrics import check_metrics
from flantune.evaluation.protocol import Protocol, Question, count_questions, questions
from flantune.evaluation.samples import (
    Origin,
    arranged,
    file_sha256,
    read_origin,
    samples_path,
    write_origin,
    write_samples,
)
from flantune.packing.encode import Codec
from flantune.prompts.layout import EOS_WORD, Layout, inputs_text
from flantune.prompts.options import ArrangedPrompt
from flantune.types import Counts, Sample

if TYPE_CHECKING:
    from flantune.config import EvaluationSettings, PackingSettings, PromptSettings
    from flantune.models.load import LanguageModel
    from flantune.packing.encode import Encoded
    from flantune.tasks.store import PreparedTask

# Part of every fingerprint: raise it when the same prompts and weights would give other samples.
_PROTOCOL_VERSION = 1

# Prompts encoded and sorted by length together. Bounds memory; long enough for even batches.
_BLOCK = 2048

# Prompts written to between two signs of progress; the model still reads them in batches of its own.
_PIECE = 64


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

    lm: LanguageModel
    codec: Codec
    protocol: Protocol
    model_fingerprint: str
    is_isolated: bool
    progress: Callable[[Progress], None] | None


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
) -> tuple[Evaluated, ...]:
    """Asks a model every task in every forward template and writes what it answers to ``folder/samples``.

    Classification tasks are answered by rank classification, generation tasks by greedy decoding. Which prompts are
    asked depends on tasks, settings and seed alone, so two models measured by two calls are asked the same. A task
    whose samples are complete and were made from the same prompts by the same model is not measured again.

    Args:
        lm: The model; it is not changed.
        prepared: The tasks.
        settings: Rows, shots, templates, scoring.
        folder: Where ``samples/`` goes.
        seed: Names the random draws of rows and exemplars.
        prompts: Style and separators.
        packing: Token budgets of inputs and targets.
        progress: Called after each batch.

    Raises:
        EvaluationError: A task cannot be measured, or the model gives scores that are not numbers.

    Paper: FLAN 2021, section 2.3 and 3.
    """
    from flantune.evaluation.scoring import model_fingerprint
    from flantune.models.selftest import check_isolation

    for entry in prepared:
        check_metrics(entry.task)
    session = _Session(
        lm=lm,
        codec=Codec(
            tokenizer=lm.tokenizer,
            family=lm.family,
            layout=Layout.from_settings(prompts),
            max_input_tokens=packing.max_input_tokens,
            max_target_tokens=packing.max_target_tokens,
        ),
        protocol=Protocol(evaluation=settings, prompts=prompts, seed=seed),
        model_fingerprint=model_fingerprint(lm),
        is_isolated=check_isolation(lm).is_isolated,
        progress=progress,
    )
    return tuple(_evaluate_task(session, entry, folder=folder) for entry in prepared)


def _evaluate_task(session: _Session, prepared: PreparedTask, *, folder: Path) -> Evaluated:
    """One task: reuse its samples or make them."""
    started = time.perf_counter()
    path = samples_path(folder, prepared.task.name)
    fingerprint = _fingerprint(session, prepared)
    origin = read_origin(path)
    if origin is not None and origin.fingerprint == fingerprint:
        return Evaluated(task=prepared.task.name, path=path, origin=origin, is_reused=True)
    counts: list[Counts] = []
    written = write_samples(path, _samples(session, prepared, counts=counts, started=started))
    if not written:
        hint = "raise packing.max_target_tokens, have 0 among evaluation.shots, or leave it out with data.exclude"
        raise EvaluationError("not one prompt of the task could be scored", where=prepared.task.name, hint=hint)
    origin = Origin(
        fingerprint=fingerprint,
        samples=written,
        sha256=file_sha256(path),
        counts=sum(counts, Counts()),
        seconds=time.perf_counter() - started,
    )
    write_origin(path, origin)
    return Evaluated(task=prepared.task.name, path=path, origin=origin, is_reused=False)


def _samples(session: _Session, prepared: PreparedTask, *, counts: list[Counts], started: float) -> Iterator[Sample]:
    """The samples of a task in the order of its questions; what happened to the prompts is added to ``counts``."""
    total, before = count_questions(prepared, session.protocol), 0
    kind = prepared.task.kind
    answer = _rank if kind == "classification" else _generate
    asked = questions(prepared, session.protocol)
    while block := list(islice(asked, _BLOCK)):
        encoded = session.codec.encode_prompts(
            [question.prompt for question in block], continuations="options" if kind == "classification" else "none"
        )
        counts.append(encoded.counts)
        answered: dict[int, Sample] = {}
        for at, sample in answer(session, block, encoded):
            answered[at] = sample
            _report(session, prepared, done=before + len(answered), total=total, started=started)
        before += len(block)
        yield from (answered[at] for at in sorted(answered))


def _rank(session: _Session, block: Sequence[Question], encoded: Encoded) -> Iterator[tuple[int, Sample]]:
    """Rank classification of a block, as it gets done; prompts with an option too long are left out (and counted)."""
    from flantune.evaluation.scoring import score_options, scoring_mode, without_end

    settings = session.protocol.evaluation
    kept = [(at, prompt) for at, prompt in enumerate(encoded) if prompt is not None]
    prompts = [prompt for _, prompt in kept]
    if not settings.score_end_of_sequence:
        prompts = [without_end(prompt, where=f"{block[at].prompt.task}/options") for at, prompt in kept]
    with scoring_mode(session.lm):
        scored = score_options(session.lm, prompts, batch_tokens=settings.batch_tokens, is_isolated=session.is_isolated)
        for result in scored:
            at = kept[result.index][0]
            sample = _sample(session, block[at], encoded.each[at])
            yield at, replace(sample, scores=result.scores, lengths=result.lengths)


def _generate(session: _Session, block: Sequence[Question], encoded: Encoded) -> Iterator[tuple[int, Sample]]:
    """Greedy answers to a block, in pieces of similar length."""
    from flantune.evaluation.scoring import scoring_mode, write_texts

    settings = session.protocol.evaluation
    kept = [(at, prompt) for at, prompt in enumerate(encoded) if prompt is not None]
    kept.sort(key=lambda pair: -len(pair[1].inputs))
    with scoring_mode(session.lm):
        for start in range(0, len(kept), _PIECE):
            piece = kept[start : start + _PIECE]
            written = write_texts(
                session.lm,
                [prompt for _, prompt in piece],
                max_new_tokens=settings.max_new_tokens,
                batch_tokens=settings.batch_tokens,
            )
            for (at, _), tokens in zip(piece, written, strict=True):
                sample = _sample(session, block[at], encoded.each[at])
                text = _first_answer(session, session.codec.decode(tokens), is_few_shot=bool(sample.exemplar_rows))
                yield at, replace(sample, prediction=text)


def _sample(session: _Session, question: Question, counts: Counts) -> Sample:
    """What was asked, as the model read it; not yet answered."""
    prompt = question.prompt
    shown = replace(prompt, exemplars=prompt.exemplars[: len(prompt.exemplars) - counts.exemplars_dropped])
    sample = Sample(
        task=prompt.task,
        split=prompt.split,
        row=prompt.row,
        template=prompt.template,
        shots=question.shots,
        inputs=inputs_text(shown, session.codec.layout),
        options=prompt.options,
        answer=prompt.answer,
        references=prompt.references,
        exemplar_rows=tuple(exemplar.row for exemplar in shown.exemplars),
    )
    return arranged(sample, prompt.order) if isinstance(prompt, ArrangedPrompt) else sample


def _first_answer(session: _Session, text: str, *, is_few_shot: bool) -> str:
    """The model's answer alone.

    After solved examples a model that was never taught to stop goes on with the next one. What follows the separator
    of exemplars is that next one, so it is cut off, for the base model and the tuned model alike; otherwise tuning
    would seem to teach answers where it only teaches to stop.
    """
    separator = session.codec.layout.exemplar_separator.replace(EOS_WORD, "")
    if is_few_shot and separator:
        text = text.split(separator, 1)[0]
    return text.strip()


def _report(session: _Session, prepared: PreparedTask, *, done: int, total: int, started: float) -> None:
    if session.progress is not None:
        seconds = time.perf_counter() - started
        session.progress(Progress(task=prepared.task.name, done=done, total=total, seconds=seconds))


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
        "max_input_tokens": codec.max_input_tokens,
        "max_target_tokens": codec.max_target_tokens,
        "max_new_tokens": settings.max_new_tokens if prepared.task.kind == "generation" else None,
        "score_end_of_sequence": settings.score_end_of_sequence,
    }
    digest = hashlib.sha256(json.dumps(limits, sort_keys=True).encode())
    for question in questions(prepared, session.protocol):
        digest.update(json.dumps(asdict(question), sort_keys=True).encode())
    return digest.hexdigest()
