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
from flantune.evaluation.statistics.grades import Graded, grade
from flantune.prompts.styles import Style
from flantune.report.numbers import plural
from flantune.settings.config import RunConfig
from flantune.suites import results
from flantune.suites.differences import comparisons, with_false_discovery_rates
from flantune.suites.scores import of_table
from flantune.suites.summary import Measurement, ModelMeasurements, flan2022_result, score_results
from flantune.system.files import slug, write_json, write_text
from flantune.system.locking import locked
from flantune.system.manifest import Stopwatch, write_manifest
from flantune.system.processes import Processes, joined
from flantune.system.progress import Reporter, Silent

if TYPE_CHECKING:
    from flantune.evaluation.asking.ask import Answered
    from flantune.evaluation.asking.session import Session
    from flantune.report.samples import Browser


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What one model answered."""

    candidate: Candidate
    measured: results.MeasuredModel
    answered: tuple[Answered, ...]
    graded: tuple[Graded, ...]
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
    for note in notes_of(questions.exams):
        told.note(note)
    models = check_candidates(candidates(request.models), questions.exams, allow_seen=request.allow_seen)
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
    from flantune.evaluation.asking.ask import ask
    from flantune.evaluation.asking.session import Session
    from flantune.evaluation.asking.store import ScoreStore
    from flantune.models.load import load_model
    from flantune.packing.chat import chat_tokens

    for reason in dict.fromkeys(reason for seen in model.seen.values() for reason in seen.reasons[:1]):
        told.note(f"{model.name}: {reason}")
    told.stage(f"load {model.name}")
    lm = load_model(request.model_settings(model.path))
    with watch.stage(model.name):
        session = Session(
            lm=lm,
            folder=request.out / "models" / slug(model.name),
            store=ScoreStore(request.out / "store"),
            batch_tokens=request.batch_tokens,
            chat=chat_tokens(lm.tokenizer, request.prompts),
            seed=request.seed,
            answers_each=request.drawn[0],
            temperature=request.drawn[1],
            backend=request.backend,
        )
        _check_asked(session, questions, request, told)
        total = sum(len(exam.questions) for exam in questions.exams)
        told.stage(f"ask {model.name} {plural(total, 'question')} of {plural(len(questions.exams), 'exam')}")
        answered = ask(
            session,
            questions.exams,
            progress=lambda p: told.step(p.done, p.total, f"{p.exam}: {p.done:,} of {p.total:,} answers"),
        )
    for known in (*measured_notes(answered), *_unwritable(answered)):
        told.note(known)
    facts: Mapping[str, object] = {}
    if questions.harness:
        from flantune.harness.export import model_facts

        facts = model_facts(lm)
    return _Asked(
        candidate=model,
        measured=results.MeasuredModel(
            name=model.name,
            path=model.path,
            fingerprint=session.fingerprint,
            trained_by_flantune=model.record is not None,
        ),
        answered=tuple(answered),
        graded=tuple(_graded(model, session, one) for one in answered),
        facts=facts,
    )


def _check_asked(session: Session, questions: Questions, request: EvaluationRequest, told: Reporter) -> None:
    """What the chat template, and a tokenizer that cannot write the answers of tasks, make of the questions."""
    from flantune.commands.answer_check import check_answers
    from flantune.commands.plan import make_codec

    for known in session.chat.notes if session.chat else ():
        told.note(known)
    if questions.prepared:
        codec = make_codec(RunConfig(prompts=request.prompts), session.lm)
        check_answers(questions.prepared, codec, style=Style.from_settings(request.prompts), note=told.note)


def _graded(model: Candidate, session: Session, answered: Answered) -> Graded:
    exam, (answers_each, temperature) = answered.exam, session.drawn(answered.exam)
    return Graded(
        exam=exam,
        model=model.name,
        tables=grade(answered.samples, exam.grader, chance=exam.chance),
        counts=answered.counts,
        seen=model.seen_of(exam.key),
        answers_each=answers_each,
        temperature=temperature,
    )


def _unwritable(answered: Sequence[Answered]) -> Iterator[str]:
    """What of the benchmarks' options the tokenizer cannot write; they are asked as they are."""
    for found in answered:
        key, counts = found.exam.key, found.counts
        if found.exam.score and counts.options_alike:
            yield f"{key}: {counts.options_alike:,} questions have options with the same tokens, which always tie"
        if found.exam.score and counts.answers_unknown:
            yield f"{key}: {counts.answers_unknown:,} questions have options with the unknown token in them"


# --- results --------------------------------------------------------------------------------------------------------


def _measurements(asked: _Asked, request: EvaluationRequest) -> ModelMeasurements:
    """What one model scored on benchmarks."""
    found: dict[str, list[Measurement]] = {}
    for one in asked.graded:
        if one.exam.score:
            (table,) = one.tables.values()
            measurement = Measurement(scores=of_table(one.exam, table), counts=one.counts, seen=one.seen)
            found.setdefault(one.exam.score, []).append(measurement)
    exams = [one.exam for one in asked.graded if one.exam.score]
    return ModelMeasurements(
        name=asked.measured.name,
        by_score=found,
        protocols={exam.score: exam.protocol for exam in exams},
        drawn={exam.score: request.drawn for exam in exams if exam.is_voted},
    )


def _results(
    request: EvaluationRequest, questions: Questions, asked: Sequence[_Asked], *, seconds: float
) -> results.EvaluationResults:
    from flantune.suites.tasks import score_tasks

    level = request.confidence
    measured = [_measurements(one, request) for one in asked]
    scores = [
        one
        for model in measured
        for one in score_results(model, missing=questions.missing, limit=request.limit, confidence=level)
    ]
    folders = [(one.measured.name, request.out / "models" / slug(one.measured.name)) for one in asked]
    tasks, task_comparisons = score_tasks(
        folders if questions.prepared else [],
        questions.prepared,
        request.task_settings,
        seen={(one.measured.name, name): seen for one in asked for name, seen in one.candidate.seen.items()},
        seed=request.seed,
    )
    protocols = {p.fingerprint: p for model in measured for p in model.protocols.values()}
    if questions.prepared:
        own = request.task_settings.scoring
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
            results.TrustedCode(score=one.key, files=dict(one.code)) for one in questions.exams if one.code
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
    from flantune.report.evaluation_samples import asked_exam, collect_answers

    return collect_answers(
        [asked_exam(exam) for exam in questions.exams],
        {one.measured.name: request.out / "models" / slug(one.measured.name) for one in asked},
        root=request.out,
    )


def _export(
    out: Path, request: EvaluationRequest, questions: Questions, asked: Sequence[_Asked], watch: Stopwatch
) -> None:
    from datetime import datetime

    from flantune.harness.export import Answers, AskedModel, write_export

    for one in asked:
        model = AskedModel(
            path=one.measured.path,
            limit=request.limit,
            seconds=watch.seconds.get(one.measured.name, 0.0),
            batch_tokens=request.batch_tokens,
            prompts=request.prompts,
            facts=one.facts,
        )
        names = {found.exam.key for found in questions.harness}
        answers = {
            graded.exam.key: Answers(table=next(iter(graded.tables.values())), samples=tuple(answered.samples))
            for graded, answered in zip(one.graded, one.answered, strict=True)
            if graded.exam.key in names
        }
        write_export(out, questions.harness, answers, model, now=datetime.now())
