"""``flantune evaluate``: models in, one folder of results out. The line's evaluation end, without any tuning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.commands.budget_notes import measured_notes
from flantune.commands.evaluation_questions import Questions, notes_of, read_questions
from flantune.commands.evaluation_request import EvaluationRequest, check_request
from flantune.evaluation.seen import Candidate, candidates, check_candidates, short_name
from flantune.prompts.styles import Style
from flantune.report.numbers import plural
from flantune.settings.config import EvaluationSettings, PackingSettings, RunConfig
from flantune.suites import results
from flantune.suites.differences import comparisons, with_false_discovery_rates
from flantune.suites.scores import grade_part
from flantune.suites.suite import Part
from flantune.suites.summary import (
    Measurement,
    ModelMeasurements,
    flan2022_result,
    score_results,
)
from flantune.system.files import slug, write_json, write_text
from flantune.system.locking import locked
from flantune.system.manifest import Stopwatch, write_manifest
from flantune.system.processes import Processes, joined
from flantune.system.progress import Reporter, Silent

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel
    from flantune.models.writing.decoding import Writer
    from flantune.report.samples import Browser
    from flantune.suites.asking import Answered
    from flantune.suites.scores import PartScores
    from flantune.tasks.store import PreparedTask
    from flantune.types import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What one model answered."""

    candidate: Candidate
    measured: results.MeasuredModel
    parts: ModelMeasurements
    harness: Mapping[str, tuple[PartScores, Sequence[Sample]]]
    tasks: Path | None
    facts: Mapping[str, object]


def evaluate_models(request: EvaluationRequest, *, reporter: Reporter | None = None) -> results.EvaluationResults:
    """Measures models on benchmarks and tasks, and writes ``results.json``, samples, page and manifest.

    What was answered before by the same model under the same protocol is not asked again, so a killed call goes on
    where it stopped. Nothing is loaded before it is known that no model would be measured on what it was trained on.
    Under ``torchrun`` all processes make this call and share the work; the first one writes, and all get the results,
    which are the same for any number of processes.

    Raises:
        LeakError: A model was trained on what is to be measured, and that is not allowed.
        ConfigError: There is nothing to measure, or settings do not go together.
        flantune.errors.FlantuneError: Data is missing, a model cannot be loaded or asked.
    """
    check_request(request)
    with joined() as processes, ExitStack() as until_done:
        processes.first(lambda: until_done.enter_context(locked(request.out)))
        return _evaluate(request, (reporter or Silent()) if processes.is_first else Silent(), processes)


def _evaluate(request: EvaluationRequest, told: Reporter, processes: Processes) -> results.EvaluationResults:
    told.stage("read the questions")
    made: list[Questions] = []
    # The others read what the first has laid down.
    processes.first(lambda: made.append(read_questions(request)))
    questions = made[0] if made else read_questions(request)
    for note in notes_of(questions.parts):
        told.note(note)
    models = check_candidates(
        candidates(request.models), questions.parts, questions.prepared, allow_seen=request.allow_seen
    )
    watch = Stopwatch(request.out / "seconds.json" if processes.is_first else None, note=told.note)
    asked = [_ask_model(model, questions, request, told, watch) for model in models]
    told.stage("score, write the page")
    found: list[results.EvaluationResults] = []

    def conclude() -> None:
        found.append(_results(request, questions, asked, seconds=sum(watch.seconds.values())))
        _write(request, questions, asked, found[0], watch)

    processes.first(conclude)
    return next(one[0] for one in processes.gather(found) if one)


def folder_for(models: Sequence[str]) -> Path:
    """Where an evaluation of these models goes unless told.

    >>> folder_for(["runs/first/folds/nli/model", "base/model"]).as_posix()
    'evaluations/nli+base'
    """
    return Path("evaluations") / slug(*(short_name(model) for model in models))


# --- asking ---------------------------------------------------------------------------------------------------------


def _ask_model(
    model: Candidate, questions: Questions, request: EvaluationRequest, told: Reporter, watch: Stopwatch
) -> _Asked:
    from flantune.models.digests import model_fingerprint
    from flantune.models.load import load_model

    for reason in dict.fromkeys(reason for seen in model.seen.values() for reason in seen.reasons[:1]):
        told.note(f"{model.name}: {reason}")
    told.stage(f"load {model.name}")
    lm = load_model(request.model_settings(model.path))
    fingerprint = model_fingerprint(lm)
    folder = request.out / "models" / slug(model.name)
    with watch.stage(model.name):
        writer = _writer(lm, questions, request)
        answered = _ask_parts(lm, model, questions.parts, request, told, folder, fingerprint=fingerprint, writer=writer)
        tasks = _ask_tasks(lm, model, questions.prepared, request, told, folder=folder, writer=writer)
    measured = results.MeasuredModel(
        name=model.name, path=model.path, fingerprint=fingerprint, trained_by_flantune=model.record is not None
    )
    facts: Mapping[str, object] = {}
    if questions.harness:
        from flantune.harness.export import model_facts

        facts = model_facts(lm)
    return _Asked(candidate=model, measured=measured, parts=answered[0], harness=answered[1], tasks=tasks, facts=facts)


def _writer(lm: LanguageModel, questions: Questions, request: EvaluationRequest) -> Writer:
    """One engine for all that is written; none is started where nothing is."""
    from flantune.evaluation.asking.answers import writer_for

    is_written = any(part.answering == "text" for part in questions.parts)
    is_written |= any(one.task.kind == "generation" for one in questions.prepared)
    return writer_for(lm, request.backend if is_written else "transformers")


def _ask_parts(
    lm: LanguageModel,
    model: Candidate,
    parts: Sequence[Part],
    request: EvaluationRequest,
    told: Reporter,
    folder: Path,
    *,
    fingerprint: str,
    writer: Writer,
) -> tuple[ModelMeasurements, dict[str, tuple[PartScores, Sequence[Sample]]]]:
    """The grades of all parts, and the samples of those that came from harness files."""
    from flantune.evaluation.asking.store import ScoreStore
    from flantune.packing.chat import chat_tokens
    from flantune.suites.asking import Session, ask

    protocols = {part.score: request.protocol_of(part.suite) for part in parts}
    chat = chat_tokens(lm.tokenizer, request.prompts)
    for known in chat.notes if chat else ():
        told.note(known)
    store = ScoreStore(request.out / "store")
    sessions = {
        protocol.fingerprint: Session(
            lm=lm,
            fingerprint=fingerprint,
            protocol=protocol,
            batch_tokens=request.batch_tokens,
            folder=folder,
            store=store,
            seed=request.seed,
            samples=request.drawn[0],
            temperature=request.drawn[1],
            chat=chat,
            backend=request.backend,
            writer=writer,
        )
        for protocol in protocols.values()
    }
    if parts:
        total = sum(len(part.prompts) for part in parts)
        told.stage(f"ask {model.name} {plural(total, 'question')} of {plural(len(parts), 'part')}")
    answers: dict[str, Answered] = {}
    for session in sessions.values():
        own = [part for part in parts if protocols[part.score] == session.protocol]
        answered = ask(session, own, on_answers=lambda n, of: told.step(n, of, f"{n:,} of {of:,} answers"))
        answers |= {part.key: found for part, found in zip(own, answered, strict=True)}
    found: dict[str, list[Measurement]] = {}
    harness: dict[str, tuple[PartScores, Sequence[Sample]]] = {}
    for part in parts:
        scores = grade_part(part, answers[part.key].samples, protocols[part.score])
        measurement = Measurement(scores=scores, counts=answers[part.key].counts, seen=model.seen_of(part.key))
        found.setdefault(part.score, []).append(measurement)
        if part.suite == "harness":
            harness[part.key] = (scores, answers[part.key].samples)
    drawn = {part.score: request.drawn for part in parts if part.is_voted}
    for known in _unwritable(answers):
        told.note(known)
    return ModelMeasurements(name=model.name, by_score=found, protocols=protocols, drawn=drawn), harness


def _unwritable(answers: Mapping[str, Answered]) -> Iterator[str]:
    """What of the benchmarks' options the tokenizer cannot write; they are asked as they are."""
    for key, found in answers.items():
        if found.counts.options_alike:
            yield f"{key}: {found.counts.options_alike:,} questions have options with the same tokens, which always tie"
        if found.counts.answers_unknown:
            yield f"{key}: {found.counts.answers_unknown:,} questions have options with the unknown token in them"


def _task_settings(request: EvaluationRequest) -> EvaluationSettings:
    values = {
        "protocol": request.protocol_of("").name,
        "normalization": request.protocol_of("").normalization,
        "domain_premise": request.protocol_of("").domain_premise,
        "content_free": request.protocol_of("").content_free,
        "backend": request.backend,
        "max_examples": request.limit,
        "shots": (request.shots or 0,),
        "batch_tokens": request.batch_tokens,
        "confidence": request.confidence,
    }
    return EvaluationSettings.model_validate(values)


def _ask_tasks(
    lm: LanguageModel,
    model: Candidate,
    prepared: Sequence[PreparedTask],
    request: EvaluationRequest,
    told: Reporter,
    *,
    folder: Path,
    writer: Writer,
) -> Path | None:
    if not prepared:
        return None
    from flantune.commands.answer_check import check_answers
    from flantune.commands.plan import make_codec
    from flantune.evaluation.asking.ask import evaluate

    codec = make_codec(RunConfig(prompts=request.prompts), lm)
    check_answers(prepared, codec, style=Style.from_settings(request.prompts), note=told.note)
    told.stage(f"ask {model.name} {plural(len(prepared), 'task')}")
    measured = evaluate(
        lm,
        prepared,
        _task_settings(request),
        folder=folder,
        seed=request.seed,
        prompts=request.prompts,
        packing=PackingSettings(),
        writer=writer,
        progress=lambda p: told.step(p.done, p.total, f"{p.task}: {p.done:,} of {p.total:,} prompts"),
    )
    for note in measured_notes(measured):
        told.note(note)
    return folder


# --- results --------------------------------------------------------------------------------------------------------


def _results(
    request: EvaluationRequest, questions: Questions, asked: Sequence[_Asked], *, seconds: float
) -> results.EvaluationResults:
    from flantune.suites.tasks import score_tasks

    level = request.confidence
    measured = [one.parts for one in asked]
    scores = [
        one
        for model in measured
        for one in score_results(model, missing=questions.missing, limit=request.limit, confidence=level)
    ]
    tasks, task_comparisons = score_tasks(
        [(one.measured.name, one.tasks) for one in asked if one.tasks is not None],
        questions.prepared,
        _task_settings(request),
        seen={(one.measured.name, name): seen for one in asked for name, seen in one.candidate.seen.items()},
        seed=request.seed,
    )
    protocols = {p.fingerprint: p for model in measured for p in model.protocols.values()}
    if questions.prepared:
        own = _task_settings(request).scoring
        protocols[own.fingerprint] = own
    seen = {(one.model, one.score) for one in scores if one.seen} | {(one.model, one.task) for one in tasks if one.seen}
    is_flan2022 = "flan2022" in request.suites
    compared = comparisons(measured, is_flan2022=is_flan2022, confidence=level, seed=request.seed)
    return results.EvaluationResults(
        schema=2,
        kind="evaluation",
        protocols={name: protocol.to_json() for name, protocol in protocols.items()},
        seed=request.seed,
        confidence=level,
        limit=request.limit,
        is_reportable=not (request.limit or questions.missing or seen),
        models=tuple(one.measured for one in asked),
        scores=tuple(scores),
        flan2022=tuple(
            flan2022_result(model, [s for s in scores if s.model == model.name], confidence=level)
            for model in (measured if is_flan2022 else ())
        ),
        tasks=tuple(tasks),
        comparisons=with_false_discovery_rates([*compared, *task_comparisons], seen=seen),
        missing=tuple(results.Missing(score=one.score, name=one.name, needs=one.needs) for one in questions.missing),
        seconds=seconds,
        trusted_code=tuple(
            results.TrustedCode(score=one.key, files=dict(one.code)) for one in questions.parts if one.code
        ),
    )


def _write(
    request: EvaluationRequest,
    questions: Questions,
    asked: Sequence[_Asked],
    found: results.EvaluationResults,
    watch: Stopwatch,
) -> None:
    from flantune.report.evaluation_page import render_evaluation

    out = request.out
    write_json(out / "results.json", results.to_json(found))
    page = render_evaluation(found, _browser(request, questions, asked))
    write_text(out / "report.html", page.encode("utf-8", "replace").decode("utf-8"))
    if request.harness_out is not None and questions.harness:
        _export(request.harness_out, request, questions, asked, watch)
    fingerprints = {f"protocol {one['name']}": name for name, one in found.protocols.items()}
    fingerprints |= {f"model {one.name}": one.fingerprint for one in found.models}
    write_manifest(out, seconds=watch.seconds, fingerprints=fingerprints)


def _browser(request: EvaluationRequest, questions: Questions, asked: Sequence[_Asked]) -> Browser:
    """Questions of every part and task to look at, in the order of the tables."""
    from flantune.report.evaluation_samples import asked_part, asked_task, collect_answers

    normalization = request.protocol_of("").normalization
    return collect_answers(
        [
            *(asked_part(part, request.protocol_of(part.suite)) for part in questions.parts),
            *(asked_task(one.task.name, one.task.metrics[0], normalization) for one in questions.prepared),
        ],
        {one.measured.name: request.out / "models" / slug(one.measured.name) for one in asked},
        root=request.out,
    )


def _export(
    out: Path, request: EvaluationRequest, questions: Questions, asked: Sequence[_Asked], watch: Stopwatch
) -> None:
    from datetime import datetime

    from flantune.harness.export import AskedModel, write_export

    for one in asked:
        model = AskedModel(
            path=one.measured.path,
            limit=request.limit,
            seconds=watch.seconds.get(one.measured.name, 0.0),
            batch_tokens=request.batch_tokens,
            prompts=request.prompts,
            facts=one.facts,
        )
        write_export(out, questions.harness, one.harness, model, now=datetime.now())
