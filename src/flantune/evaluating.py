"""``flantune evaluate``: models in, one folder of results out. The line's evaluation end, without any tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.config import EvaluationSettings, PackingSettings, RunConfig
from flantune.errors import ConfigError
from flantune.evaluation.presets import (
    scoring_protocol,
)
from flantune.evaluation.ranks import this_world
from flantune.evaluation_request import EvaluationRequest, check_drawn, check_request
from flantune.files import slug, write_json, write_text
from flantune.locking import locked
from flantune.manifest import Stopwatch, write_manifest
from flantune.progress import Reporter, Silent
from flantune.suites import results
from flantune.suites.chosen import choose_parts
from flantune.suites.scores import grade_part
from flantune.suites.seen import Candidate, candidates, check_candidates, short_name
from flantune.suites.suite import MissingPart, Part, SuiteData
from flantune.suites.summary import (
    Measurement,
    ModelMeasurements,
    comparisons,
    flan2022_result,
    score_results,
)
from flantune.training.distributed import Processes, joined

if TYPE_CHECKING:
    from flantune.harness.read import HarnessPart
    from flantune.models.load import LanguageModel
    from flantune.report.samples import Browser
    from flantune.suites.asking import Answered
    from flantune.suites.scores import PartScores
    from flantune.tasks.store import PreparedTask
    from flantune.types import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class _Questions:
    """What is to be measured."""

    parts: tuple[Part, ...]
    missing: tuple[MissingPart, ...]
    harness: tuple[HarnessPart, ...]
    prepared: tuple[PreparedTask, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What one model answered."""

    candidate: Candidate
    measured: results.MeasuredModel
    parts: ModelMeasurements
    harness: Mapping[str, tuple[PartScores, Sequence[Sample]]]
    tasks: Path | None


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
    made: list[_Questions] = []
    # The others read what the first has laid down.
    processes.first(lambda: made.append(_questions(request)))
    questions = made[0] if made else _questions(request)
    models = check_candidates(
        candidates(request.models), questions.parts, questions.prepared, allow_seen=request.allow_seen
    )
    watch = Stopwatch(request.out / "seconds.json" if processes.is_first else None)
    asked = [_ask_model(model, questions, request, told, watch) for model in models]
    told.stage("score, write the page")
    found: list[results.EvaluationResults] = []

    def conclude() -> None:
        found.append(_results(request, questions, asked, seconds=sum(watch.seconds.values())))
        _write(request, questions, asked, found[0], watch)

    processes.first(conclude)
    return next(one[0] for one in this_world().gather(found) if one)


def _questions(request: EvaluationRequest) -> _Questions:
    data = SuiteData(root=request.root, limit=request.limit, shots=request.shots, seed=request.seed)
    parts: tuple[Part, ...] = ()
    missing: tuple[MissingPart, ...] = ()
    harness: tuple[HarnessPart, ...] = ()
    if request.suites:
        chosen = choose_parts(request.suites, data, skip_missing=request.skip_missing)
        parts, missing = chosen.parts, chosen.missing
    if request.harness:
        from flantune.harness.read import harness_parts

        harness = harness_parts(request.harness, data)
    prepared = tuple(_tasks(request))
    parts = (*parts, *(one.part for one in harness))
    check_drawn(request, parts)
    if not parts and not prepared:
        hint = "name a --suite, --tasks, a --collection or a --harness file"
        raise ConfigError("there is nothing to measure", hint=hint)
    return _Questions(parts=parts, missing=missing, harness=harness, prepared=prepared)


def folder_for(models: Sequence[str]) -> Path:
    """Where an evaluation of these models goes unless told.

    >>> folder_for(["runs/first/folds/nli/model", "base/model"]).as_posix()
    'evaluations/nli+base'
    """
    return Path("evaluations") / slug(*(short_name(model) for model in models))


def _tasks(request: EvaluationRequest) -> list[PreparedTask]:
    if request.data is None:
        return []
    from flantune.planning import prepare_tasks

    config = RunConfig(data=request.data)
    prepared, _ = prepare_tasks(config, root=Path.cwd(), cache=request.data.cache or request.out / "data")
    return [one for one in prepared if len(one.stores.get("test", ()))]


# --- asking ---------------------------------------------------------------------------------------------------------


def _ask_model(
    model: Candidate, questions: _Questions, request: EvaluationRequest, told: Reporter, watch: Stopwatch
) -> _Asked:
    from flantune.evaluation.scoring import model_fingerprint
    from flantune.models.load import load_model

    for reason in dict.fromkeys(reason for seen in model.seen.values() for reason in seen.reasons[:1]):
        told.note(f"{model.name}: {reason}")
    told.stage(f"load {model.name}")
    lm = load_model(request.model_settings(model.path))
    fingerprint = model_fingerprint(lm)
    folder = request.out / "models" / slug(model.name)
    with watch.stage(model.name):
        answered = _ask_parts(lm, model, questions.parts, request, told, folder=folder, fingerprint=fingerprint)
        tasks = _ask_tasks(lm, model, questions.prepared, request, told, folder=folder)
    measured = results.MeasuredModel(
        name=model.name, path=model.path, fingerprint=fingerprint, trained_by_flantune=model.record is not None
    )
    return _Asked(candidate=model, measured=measured, parts=answered[0], harness=answered[1], tasks=tasks)


def _ask_parts(
    lm: LanguageModel,
    model: Candidate,
    parts: Sequence[Part],
    request: EvaluationRequest,
    told: Reporter,
    *,
    folder: Path,
    fingerprint: str,
) -> tuple[ModelMeasurements, dict[str, tuple[PartScores, Sequence[Sample]]]]:
    """The grades of all parts, and the samples of those that came from harness files."""
    from flantune.evaluation.store import ScoreStore
    from flantune.packing.chat import chat_tokens
    from flantune.suites.asking import Session, ask

    protocols = {part.score: request.protocol_of(part.suite) for part in parts}
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
            chat=chat_tokens(lm.tokenizer, request.prompts),
        )
        for protocol in protocols.values()
    }
    if parts:
        total = sum(len(part.prompts) for part in parts)
        told.stage(f"ask {model.name} {total:,} questions of {len(parts)} parts")
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
    return ModelMeasurements(name=model.name, by_score=found, protocols=protocols, drawn=drawn), harness


def _task_settings(request: EvaluationRequest) -> EvaluationSettings:
    values = {
        "protocol": request.protocol_of("").name,
        "normalization": request.protocol_of("").normalization,
        "domain_premise": request.protocol_of("").domain_premise,
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
) -> Path | None:
    if not prepared:
        return None
    from flantune.evaluation.evaluate import evaluate

    told.stage(f"ask {model.name} {len(prepared)} tasks")
    evaluate(
        lm,
        prepared,
        _task_settings(request),
        folder=folder,
        seed=request.seed,
        prompts=request.prompts,
        packing=PackingSettings(),
        progress=lambda p: told.step(p.done, p.total, f"{p.task}: {p.done:,} of {p.total:,} prompts"),
    )
    return folder


# --- results --------------------------------------------------------------------------------------------------------


def _results(
    request: EvaluationRequest, questions: _Questions, asked: Sequence[_Asked], *, seconds: float
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
        own = scoring_protocol(_task_settings(request))
        protocols[own.fingerprint] = own
    has_seen = any(one.seen for one in scores) or any(one.seen for one in tasks)
    return results.EvaluationResults(
        schema=1,
        kind="evaluation",
        protocols={name: protocol.to_json() for name, protocol in protocols.items()},
        confidence=level,
        limit=request.limit,
        is_reportable=not (request.limit or questions.missing or has_seen),
        models=tuple(one.measured for one in asked),
        scores=tuple(scores),
        flan2022=tuple(
            flan2022_result(model, [s for s in scores if s.model == model.name], confidence=level)
            for model in (measured if "flan2022" in request.suites else ())
        ),
        tasks=tuple(tasks),
        comparisons=(*comparisons(measured, confidence=level), *task_comparisons),
        missing=tuple(results.Missing(score=one.score, name=one.name, needs=one.needs) for one in questions.missing),
        seconds=seconds,
    )


def _write(
    request: EvaluationRequest,
    questions: _Questions,
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


def _browser(request: EvaluationRequest, questions: _Questions, asked: Sequence[_Asked]) -> Browser:
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
    out: Path, request: EvaluationRequest, questions: _Questions, asked: Sequence[_Asked], watch: Stopwatch
) -> None:
    from datetime import datetime

    from flantune.harness.export import write_export

    for one in asked:
        write_export(
            out,
            questions.harness,
            one.harness,
            model=one.measured.path,
            limit=request.limit,
            seconds=watch.seconds.get(one.measured.name, 0.0),
            now=datetime.now(),
        )
