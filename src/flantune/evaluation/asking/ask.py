"""Asks a model the questions of exams and writes samples to disk, for any provider of exams."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.errors import EvaluationError
from flantune.evaluation.asking.baselines import Blank, option_baselines
from flantune.evaluation.asking.option_scores import GROUP_PROMPTS, group_key, processes_of
from flantune.evaluation.asking.session import Session
from flantune.evaluation.asking.works import Work, questions_of, work_of
from flantune.evaluation.exams import Exam, Question
from flantune.evaluation.metrics.voting import voted
from flantune.evaluation.samples import (
    Origin,
    read_origin,
    read_samples,
    unanswered,
    write_origin,
    write_samples,
)
from flantune.packing.packs import Counts
from flantune.prompts.layout import EOS_WORD
from flantune.system.files import file_sha256
from flantune.system.processes import Processes, current, joined
from flantune.types import Prompt, Sample

if TYPE_CHECKING:
    from flantune.evaluation.asking.answers import Written


@dataclass(frozen=True, slots=True, kw_only=True)
class AskingProgress:
    """The progress of asking.

    Attributes:
        exam: The current exam.
        done: Answered prompts of all exams.
        total: Prompts of all exams.
        seconds: Since asking began.
    """

    exam: str
    done: int
    total: int
    seconds: float

    def __str__(self) -> str:
        rate = f", {self.done / self.seconds:.0f} prompts/s" if self.seconds > 0 else ""
        return f"{self.exam}: {self.done} of {self.total} prompts{rate}"


OnProgress = Callable[[AskingProgress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The answers to an exam.

    Attributes:
        exam: The exam.
        path: Its samples, one per prompt that could be asked, in order.
        origin: Their number, and what was shortened or dropped.
        is_reused: Whether they existed already, from the same model and prompts.
    """

    exam: Exam
    path: Path
    origin: Origin
    is_reused: bool

    @property
    def counts(self) -> Counts:
        """Exemplars dropped, prompts shortened or dropped."""
        return self.origin.counts

    @property
    def samples(self) -> Iterator[Sample]:
        """The answers, read on demand."""
        return read_samples(self.path)


def ask(session: Session, exams: Sequence[Exam], *, progress: OnProgress | None = None) -> list[Answered]:
    """A model's answers to exams, in order: reused if the same model was asked the same before, otherwise asked.

    Exams that are answered in the same way are asked together, so that batches are full even if an exam has few
    questions. Stored results are not computed again. Under ``torchrun`` all processes make this call and share the
    work; the first one writes, and all get the answers.

    Args:
        session: The model, and how it is asked.
        exams: The exams. Some thousands of their prompts are in memory at a time.
        progress: Called after each batch.

    Raises:
        EvaluationError: No prompt of an exam can be asked, or the model gives scores that are not finite.
    """
    with joined() as processes:
        return _ask(session, exams, processes, progress)


def _ask(session: Session, exams: Sequence[Exam], processes: Processes, progress: OnProgress | None) -> list[Answered]:
    works = _named(session, exams, _Told(exams, progress))
    # Only the first process checks, since another could see a file while it is being written.
    known = processes.gather([_known(work) for work in works] if processes.is_first else [])[0]
    origins = {work.path: origin for work, origin in zip(works, known, strict=True) if origin is not None}
    kinds = dict.fromkeys(work.kind for work in works if work.path not in origins)
    pending = [[work for work in works if work.kind == kind and work.path not in origins] for kind in kinds]
    reused = [work for work in works if work.path in origins]
    told = _Told([work.exam for work in chain(reused, *pending)], progress)
    told.advance(sum(len(work.exam.questions) for work in reused))
    made = [made for alike in pending for made in _ask_alike(session, alike, told)]
    # Now everything that the first process has written exists.
    origins |= {path: origin for path, origin in processes.gather(made)[0] if origin is not None}
    return [
        Answered(exam=work.exam, path=work.path, origin=origins[work.path], is_reused=work in reused) for work in works
    ]


def _named(session: Session, exams: Sequence[Exam], told: _Told) -> list[Work]:
    """The exams with their names by content, which also takes a while."""
    works = []
    for exam in exams:
        told(0)
        works.append(work_of(session, exam))
    return works


class _Told:
    """Reports progress: how many prompts of consecutive exams are answered."""

    def __init__(self, exams: Sequence[Exam], progress: OnProgress | None) -> None:
        self._names, self._progress = [exam.key for exam in exams], progress
        self._ends = list(accumulate(len(exam.questions) for exam in exams))
        self._started, self._before = time.perf_counter(), 0

    def advance(self, count: int) -> None:
        """Adds prompts that are finally answered."""
        self._before += count

    def __call__(self, done: int, _: int = 0) -> None:
        """Reports how many of the current prompts are answered."""
        if self._progress is None or not self._names:
            return
        done += self._before
        at = min(bisect_right(self._ends, done), len(self._names) - 1)
        seconds = time.perf_counter() - self._started
        self._progress(AskingProgress(exam=self._names[at], done=done, total=self._ends[-1], seconds=seconds))


def _known(work: Work) -> Origin | None:
    """The origin of an exam's samples, if they were made from the same prompts by the same model."""
    origin = read_origin(work.path)
    return origin if origin is not None and origin.fingerprint == work.fingerprint else None


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question to be asked."""

    work: Work
    question: Question

    @property
    def prompt(self) -> Prompt:
        return self.question.prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """The answer to a question.

    Attributes:
        sample: The question with its answer; None if the prompt does not fit.
        counts: What happened to it.
        seconds: Its share of the time.
    """

    sample: Sample | None
    counts: Counts
    seconds: float = 0.0


def _ask_alike(session: Session, works: Sequence[Work], told: _Told) -> Iterator[tuple[Path, Origin | None]]:
    """Asks exams of one kind; the first process writes their samples as they come, and then their origin."""
    answers = _answers(session, works, told)
    for work in works:
        own = islice(answers, len(work.exam.questions))
        yield work.path, _keep(work, own, model=session.fingerprint)


def _keep(work: Work, answers: Iterator[_Answer], *, model: str) -> Origin | None:
    counts, seconds = Counts(), 0.0

    def samples() -> Iterator[Sample]:
        nonlocal counts, seconds
        for answer in answers:
            counts, seconds = counts + answer.counts, seconds + answer.seconds
            if answer.sample is not None:
                yield answer.sample

    is_first = current().is_first
    written = write_samples(work.path, samples()) if is_first else sum(1 for _ in samples())
    if not written:
        raise EvaluationError("not one prompt of it could be asked", where=work.exam.key, hint=_FEWER)
    if not is_first:
        return None
    origin = Origin(
        fingerprint=work.fingerprint,
        samples=written,
        sha256=file_sha256(work.path),
        counts=counts,
        seconds=seconds,
        model=model,
    )
    write_origin(work.path, origin)
    return origin


_FEWER = (
    "ask with fewer exemplars (--shots; for a run, have 0 among evaluation.shots), raise packing.max_target_tokens, or "
    "take a model with more positions"
)


def _answers(session: Session, works: Sequence[Work], told: _Told) -> Iterator[_Answer]:
    """The answers to all questions of exams of one kind, in order."""
    answer = _rank if works[0].exam.answering == "options" else _write
    asked = (_Asked(work, question) for work in works for question in questions_of(session, work.exam))
    for block in _blocks(asked, GROUP_PROMPTS * processes_of(session.lm).count):
        started = time.perf_counter()
        found = list(answer(session, block, told))
        told.advance(len(block))
        share = (time.perf_counter() - started) / len(block)
        yield from (replace(one, seconds=share) for one in found)


def _blocks(asked: Iterator[_Asked], size: int) -> Iterator[list[_Asked]]:
    """Questions in blocks of about ``size`` that end at the end of a group (see ``PromptScorer``)."""
    block: list[_Asked] = []
    for _, members in groupby(asked, key=lambda one: group_key(one.prompt)):
        while held := list(islice(members, GROUP_PROMPTS)):
            block += held
            if len(block) >= size:
                yield block
                block = []
    if block:
        yield block


def _rank(session: Session, block: Sequence[_Asked], told: _Told) -> Iterator[_Answer]:
    """Rank classification of a block; prompts with an overlong option are left out (and counted)."""
    work, prompts = block[0].work, [one.prompt for one in block]
    scorer = session.scorer(work.kind, work.codec)
    scored = scorer.score(prompts, progress=told)
    baselines = option_baselines(scorer, prompts, work.exam.protocol, blank=_blank(block))
    for one, found, own in zip(block, scored, baselines, strict=True):
        if found is None or own is None:
            yield _Answer(sample=None, counts=Counts(prompts_dropped=1))
            continue
        sample = _unanswered(one, found.counts)
        sample = replace(sample, scores=found.sums, lengths=found.tokens, greedy=found.greedy, baselines=own)
        yield _Answer(sample=sample, counts=found.counts)


def _blank(block: Sequence[_Asked]) -> Blank | None:
    """Each exam's own way to ask without content; None if one of them has none."""
    ways = {one.prompt.task: one.work.exam.blank for one in block}
    known = {task: way for task, way in ways.items() if way is not None}
    return (lambda prompt, text: known[prompt.task](prompt, text)) if len(known) == len(ways) else None


def _write(session: Session, block: Sequence[_Asked], told: _Told) -> Iterator[_Answer]:
    """Generated answers to a block."""
    from flantune.evaluation.asking.answers import write_answers
    from flantune.evaluation.asking.shared_writing import OnAnswers, shared_texts
    from flantune.models.forms.reading_form import scoring_mode
    from flantune.models.writing.check import writing_method
    from flantune.models.writing.decoding import Decoding

    work, prompts = block[0].work, [one.prompt for one in block]
    writing, (answers_each, temperature) = work.exam.writing, session.drawn(work.exam)
    decoding = Decoding(
        max_new_tokens=writing.max_new_tokens, spared=writing.spared, temperature=temperature, seed=session.seed
    )
    encoded = work.codec.encode_prompts(prompts, continuations="none")
    samples = [_unanswered(one, counts) for one, counts in zip(block, encoded.each, strict=True)]
    stops = [_stops(session, work, sample) for sample in samples]
    lengths = [0 if tokens is None else len(tokens.inputs) for tokens in encoded]

    def write(piece: Sequence[int], report: OnAnswers) -> list[tuple[Written, ...]]:
        return write_answers(
            session.lm,
            [prompts[at] for at in piece],
            codec=work.codec,
            decoding=replace(decoding, stop=stops[piece[0]]),
            answers_each=answers_each,
            store=session.store,
            fingerprint=session.written_by,
            batch_tokens=session.batch_tokens,
            writer=session.writer,
            progress=report,
        )

    if session.backend == "transformers" and session.engine is None:
        # Determined by comparing numbers, so on the unchanged model: in bfloat16 its reading form would fail.
        writing_method(session.lm)
    with scoring_mode(session.lm):
        costs = [length + answers_each * writing.max_new_tokens for length in lengths]
        answers = shared_texts(write, costs=costs, stops=stops, processes=processes_of(session.lm), progress=told)
    if session.store is not None:
        session.store.refresh()
    for one, sample, texts, counts in zip(block, samples, answers, encoded.each, strict=True):
        yield _Answer(sample=_answered(one.work.exam, sample, texts) if texts else None, counts=counts)


def _answered(exam: Exam, sample: Sample, texts: tuple[str, ...]) -> Sample:
    winner = voted(texts, exam.grader.rules)
    return replace(
        sample,
        prediction=winner.text.strip() if exam.writing.is_trimmed else winner.text,
        predictions=texts if len(texts) > 1 else (),
        confidence=winner.confidence,
    )


def _unanswered(one: _Asked, counts: Counts) -> Sample:
    """A sample without an answer, as the model read it."""
    return unanswered(one.prompt, counts, shots=one.question.shots, layout=one.work.codec.layout)


def _stops(session: Session, work: Work, sample: Sample) -> tuple[str, ...]:
    """The stop texts of an answer; exemplars that are turns of a chat have no separator."""
    writing, separator = work.exam.writing, work.exam.layout.exemplar_separator.replace(EOS_WORD, "")
    has_turns = session.chat is not None and session.chat.has_turns
    if writing.ends_at_separator and sample.exemplar_rows and separator and not has_turns:
        return (*writing.stop, separator)
    return writing.stop
