"""Asks a model the questions of parts; answers lie on disk and are not asked for twice."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.errors import EvaluationError
from flantune.evaluation.asking.baselines import Blank, option_baselines
from flantune.evaluation.asking.options import OptionScores, PromptScorer, scoring_codec, within_positions
from flantune.evaluation.metrics.extraction import extract
from flantune.evaluation.metrics.voting import vote
from flantune.evaluation.samples import (
    Origin,
    read_origin,
    read_samples,
    samples_path,
    unanswered,
    write_origin,
    write_samples,
)
from flantune.packing.codec_for import codec_for
from flantune.suites.suite import Part
from flantune.system.files import file_sha256
from flantune.system.processes import current
from flantune.types import Counts, Prompt, Sample

if TYPE_CHECKING:
    from flantune.evaluation.asking.answers import Backend
    from flantune.evaluation.asking.store import ScoreStore
    from flantune.models.language_model import LanguageModel
    from flantune.models.writing.decoding import Writer
    from flantune.packing.chat import ChatTokens
    from flantune.packing.encode import Codec
    from flantune.settings.protocols import ScoringProtocol

# Part of every fingerprint: raise it when the same prompts and weights would give other samples.
_VERSION = 3
_WAVE = 4096
_DEFAULT_INPUT_TOKENS = 2048
_LONGEST_OPTION = 512

OnAnswers = Callable[[int, int], None]
"""Called with the number of answers that are there, and how many there will be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One model, and how it is asked.

    Attributes:
        lm: The model.
        fingerprint: Names its weights and tokenizer.
        protocol: How options are scored and prompts cut.
        batch_tokens: Array positions of one forward pass.
        folder: Where ``samples/`` and ``origins/`` go.
        store: Where scores and answers are kept as they come; None: only whole parts are.
        seed: Draws what is sampled.
        samples: Answers drawn to each question that can be voted on.
        temperature: Of those draws; 0 is greedy.
        chat: A chat template around every prompt; None: plain text.
        backend: What writes.
        writer: It, started; None: flantune's own loop.
    """

    lm: LanguageModel
    fingerprint: str
    protocol: ScoringProtocol
    batch_tokens: int
    folder: Path
    store: ScoreStore | None = None
    seed: int = 0
    samples: int = 1
    temperature: float = 0.0
    chat: ChatTokens | None = None
    backend: Backend = "transformers"
    writer: Writer | None = None
    scorers: dict[str, PromptScorer] = field(default_factory=dict, repr=False)

    @property
    def written_by(self) -> str:
        """Names what writes: another engine's arithmetic gives other answers of the same weights."""
        return self.fingerprint if self.backend == "transformers" else f"{self.fingerprint} {self.backend}"

    def drawn(self, part: Part) -> tuple[int, float]:
        """How many answers to each question of a part, and at what temperature."""
        return (self.samples, self.temperature) if part.is_voted else (1, 0.0)

    def scorer(self, codec: Codec) -> PromptScorer:
        """The scorer for a codec; the model's weights are looked at once for each."""
        key = repr((codec.layout, codec.max_input_tokens, codec.max_target_tokens, codec.max_row_tokens))
        if key not in self.scorers:
            self.scorers[key] = PromptScorer(
                self.lm, codec, store=self.store, batch_tokens=self.batch_tokens, fingerprint=self.fingerprint
            )
        return self.scorers[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A part's answers.

    Attributes:
        samples: One a prompt that could be asked, in order.
        counts: Exemplars dropped, prompts shortened or dropped.
        seconds: Time it took when it was asked.
        is_reused: The answers were there already.
    """

    samples: tuple[Sample, ...]
    counts: Counts
    seconds: float
    is_reused: bool


def ask(session: Session, parts: Sequence[Part], *, on_answers: OnAnswers | None = None) -> list[Answered]:
    """A model's answers to parts, in order: read again where the same model was asked the same before, else asked for.

    Parts that are answered alike are asked together, so that batches are full however few questions a part has. Under
    ``torchrun`` all processes make this call and share the work; the first writes, and all get the answers.

    Raises:
        EvaluationError: Not one prompt of a part can be asked.
    """
    asked = [part if session.chat is None else as_turns(part) for part in parts]
    processes = current()
    works = [_work(session, part) for part in asked]
    # Only the first looks: what it will write must not be half there for another.
    done_already = processes.gather([work.is_done for work in works] if processes.is_first else None)[0]
    works = [replace(work, is_done=is_done) for work, is_done in zip(works, done_already or (), strict=True)]
    pending = [work for work in works if not work.is_done]
    done = sum(len(work.part.prompts) for work in works if work.is_done)
    total = sum(len(part.prompts) for part in parts)
    for wave in _waves(pending):
        _ask_wave(session, wave, _counter(on_answers, before=done, total=total))
        done += sum(len(work.part.prompts) for work in wave)
    processes.gather(None)  # now all that the first has written is there
    return [_read(work) for work in works]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """One part, and whether its answers lie on disk already."""

    part: Part
    codec: Codec
    path: Path
    fingerprint: str
    is_done: bool

    @property
    def kind(self) -> str:
        """Parts of one kind can be asked in one call."""
        part, codec = self.part, self.codec
        limits = (codec.max_input_tokens, codec.max_target_tokens, codec.max_row_tokens)
        return repr((part.answering, part.layout, part.stop, part.max_new_tokens, limits, part.is_voted))


def _work(session: Session, part: Part) -> _Work:
    path, codec = samples_path(session.folder, part.key), _codec(session, part)
    fingerprint = _fingerprint(session, part, codec)
    origin = read_origin(path) if current().is_first else None
    is_done = origin is not None and origin.fingerprint == fingerprint
    return _Work(part=part, codec=codec, path=path, fingerprint=fingerprint, is_done=is_done)


def _waves(works: Sequence[_Work]) -> Iterator[list[_Work]]:
    """Parts of one kind together, so many at a time as bound memory."""
    for kind in dict.fromkeys(work.kind for work in works):
        wave: list[_Work] = []
        for work in works:
            if work.kind != kind:
                continue
            wave.append(work)
            if sum(len(one.part.prompts) for one in wave) >= _WAVE:
                yield wave
                wave = []
        if wave:
            yield wave


def _counter(on_answers: OnAnswers | None, *, before: int, total: int) -> OnAnswers:
    def report(done: int, _: int) -> None:
        if on_answers is not None:
            on_answers(before + done, total)

    return report


def _ask_wave(session: Session, wave: Sequence[_Work], report: OnAnswers) -> None:
    """Asks the parts of a wave together; the first process writes each one's samples."""
    started = time.perf_counter()
    prompts = [prompt for work in wave for prompt in work.part.prompts]
    is_choice = wave[0].part.answering == "options"
    answers = iter(_ranked(session, wave, report) if is_choice else _written(session, wave[0], prompts, report))
    seconds = time.perf_counter() - started
    for work in wave:
        own = [next(answers) for _ in work.part.prompts]
        samples = [_sample(work, at, answer) for at, answer in enumerate(own) if answer.is_asked]
        if not samples:
            hint = "ask with fewer --shots, or a model with more positions"
            raise EvaluationError("not one prompt of the part could be asked", where=work.part.key, hint=hint)
        if not current().is_first:
            continue
        write_samples(work.path, samples)
        origin = Origin(
            fingerprint=work.fingerprint,
            samples=len(samples),
            sha256=file_sha256(work.path),
            counts=sum((answer.counts for answer in own), Counts()),
            seconds=seconds * len(own) / len(prompts),
        )
        write_origin(work.path, origin)


def _read(work: _Work) -> Answered:
    origin = read_origin(work.path)
    if origin is None:  # pragma: no cover - it was written a moment ago
        raise EvaluationError("its samples were changed while they were read", where=str(work.path))
    samples = tuple(read_samples(work.path))
    return Answered(samples=samples, counts=origin.counts, seconds=origin.seconds, is_reused=work.is_done)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What a model gave to one prompt."""

    counts: Counts
    scores: OptionScores | None = None
    texts: tuple[str, ...] = ()
    baselines: tuple[float, ...] = ()

    @property
    def is_asked(self) -> bool:
        """Whether the prompt fitted."""
        return self.scores is not None or bool(self.texts)


def _ranked(session: Session, wave: Sequence[_Work], report: OnAnswers) -> list[_Answer]:
    scorer = session.scorer(wave[0].codec)
    prompts = [prompt for work in wave for prompt in work.part.prompts]
    scored = scorer.score(prompts, progress=report)
    baselines = option_baselines(scorer, prompts, session.protocol, blank=_blank([work.part for work in wave]))
    return [
        _Answer(counts=Counts(prompts_dropped=1))
        if found is None or own is None
        else _Answer(counts=found.counts, scores=found, baselines=own)
        for found, own in zip(scored, baselines, strict=True)
    ]


def _blank(parts: Sequence[Part]) -> Blank | None:
    """Each part's own way to ask without content; None: one of them has none."""
    ways = {prompt.task: part.blank for part in parts for prompt in part.prompts[:1]}
    known = {task: way for task, way in ways.items() if way is not None}
    return (lambda prompt, text: known[prompt.task](prompt, text)) if len(known) == len(ways) else None


def _written(session: Session, work: _Work, prompts: Sequence[Prompt], report: OnAnswers) -> list[_Answer]:
    from flantune.evaluation.asking.shared_writing import shared_texts
    from flantune.models.forms.reading_form import scoring_mode
    from flantune.models.writing.generate import write

    samples, temperature = session.drawn(work.part)
    encoded = work.codec.encode_prompts(prompts, continuations="none")
    with scoring_mode(session.lm):
        answers = shared_texts(
            session.lm,
            prompts,
            encoded,
            codec=work.codec,
            stop=[work.part.stop] * len(prompts),
            max_new_tokens=work.part.max_new_tokens,
            samples=samples,
            temperature=temperature,
            seed=session.seed,
            store=session.store,
            fingerprint=session.written_by,
            batch_tokens=session.batch_tokens,
            processes=current(),
            writer=session.writer or write,
            progress=lambda done, total: report(done // samples, total // samples),
        )
    return [_Answer(counts=counts, texts=texts) for texts, counts in zip(answers, encoded.each, strict=True)]


def _sample(work: _Work, at: int, answer: _Answer) -> Sample:
    part, scores = work.part, answer.scores
    asked = unanswered(part.prompts[at], answer.counts, shots=part.shots, layout=work.codec.layout)
    voted = _voted(part, answer.texts)
    return replace(
        asked,
        scores=scores.sums if scores else (),
        lengths=scores.tokens if scores else (),
        greedy=scores.greedy if scores else (),
        prediction=voted.text,
        predictions=answer.texts if len(answer.texts) > 1 else (),
        confidence=voted.confidence,
        baselines=answer.baselines,
    )


@dataclass(frozen=True, slots=True)
class _Voted:
    """The first text that holds the answer most texts agree on, and that answer's share; None without a vote."""

    text: str = ""
    confidence: float | None = None


def _voted(part: Part, texts: Sequence[str]) -> _Voted:
    if len(texts) < 2:
        return _Voted("".join(texts))
    found = [extract(text, part.grader.rules) for text in texts]
    winner = vote(found)
    place = next((at for at, one in enumerate(found) if one.answer == winner.answer), 0)
    return _Voted(texts[place], winner.confidence)


def as_turns(part: Part) -> Part:
    """The part for a chat: a reply starts with its first word, since the template has brought it to its place."""
    return replace(
        part,
        prompts=tuple(
            replace(
                prompt,
                options=tuple(option.strip() for option in prompt.options),
                exemplars=tuple(replace(one, targets=one.targets.strip()) for one in prompt.exemplars),
            )
            for prompt in part.prompts
        ),
        layout=replace(part.layout, target_separator=part.layout.target_separator or " "),
    )


def _codec(session: Session, part: Part) -> Codec:
    """Budgets: the protocol's, and never more than the model has positions for.

    Parts bring their delimiters with them, so those of the protocol do not count.
    """
    lm = session.lm
    own = replace(session.protocol, target_delimiter=None, exemplar_separator=None)
    codec = codec_for(
        lm,
        layout=part.layout,
        max_input_tokens=_DEFAULT_INPUT_TOKENS,
        max_target_tokens=_LONGEST_OPTION,
        chat=session.chat,
    )
    if part.answering == "text" or session.chat is not None:
        # Nothing follows the inputs, or the template's own tokens do: there is no border for joint tokenization.
        own = replace(own, tokenization="separate")
    codec = within_positions(scoring_codec(codec, own), lm)
    if part.answering == "text" and codec.max_row_tokens is not None:
        room = codec.max_row_tokens - 1 - part.max_new_tokens
        codec = replace(codec, max_input_tokens=max(1, min(codec.max_input_tokens, room)))
    return codec


def _fingerprint(session: Session, part: Part, codec: Codec) -> str:
    """Names all that the answers depend on by content: the model, the protocol and every prompt word for word."""
    asked: dict[str, object] = {
        "version": _VERSION,
        "model": session.written_by if part.answering == "text" else session.fingerprint,
        "protocol": session.protocol.fingerprint,
        "layout": asdict(codec.layout),
        "limits": [codec.max_input_tokens, codec.max_target_tokens, codec.max_row_tokens],
        "chat": session.chat.identity if session.chat is not None else None,
        "writing": [part.stop, part.max_new_tokens] if part.answering == "text" else None,
    }
    if part.code:
        asked["code"] = sorted(part.code.values())
    samples, temperature = session.drawn(part)
    if temperature > 0.0:
        rules = [(rule.name, rule.pattern, rule.form) for rule in part.grader.rules]
        asked["drawn"] = [samples, temperature, session.seed, rules]
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode())
    for prompt in part.prompts:
        digest.update(json.dumps(asdict(prompt), sort_keys=True).encode())
    return digest.hexdigest()
