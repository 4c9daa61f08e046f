"""``flantune evaluate``: models in, one folder of results out. The line's evaluation end, without any tuning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.commands.budget_notes import measured_notes
from flantune.commands.evaluation_budget import within_budget
from flantune.commands.evaluation_exams import ChosenExams, notes_of, read_exams
from flantune.commands.evaluation_request import EvaluationRequest, check_request
from flantune.evaluation.results import MeasuredModel, Missing, Results, TrustedCode
from flantune.evaluation.samples import samples_path
from flantune.evaluation.scored import Sitting
from flantune.evaluation.seen import Candidate, candidates, check_candidates, short_name
from flantune.evaluation.statistics.grades import Graded, grade
from flantune.evaluation.summarize import About, summarize
from flantune.prompts.styles import Style
from flantune.report.numbers import plural
from flantune.runs.folder import RunFolder
from flantune.settings.config import RunConfig
from flantune.settings.json_file import write_value
from flantune.suites.catalog import AVERAGES
from flantune.system.files import slug
from flantune.system.locking import locked
from flantune.system.manifest import Stopwatch, write_manifest
from flantune.system.processes import joined
from flantune.system.progress import Reporter, Silent

if TYPE_CHECKING:
    from flantune.evaluation.asking.ask import Answered
    from flantune.evaluation.asking.session import Session
    from flantune.report.samples import Browser


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One model's answers."""

    candidate: Candidate
    measured: MeasuredModel
    answered: tuple[Answered, ...]
    graded: tuple[Graded, ...]
    facts: Mapping[str, object]


def evaluate(request: EvaluationRequest, *, reporter: Reporter | None = None) -> Results:
    """Measures models on benchmarks and tasks, and writes ``results.json``, samples, report and manifest.

    Existing answers of the same model with the same protocol are reused, so an interrupted call resumes where it
    stopped. Before anything is loaded, it is checked that no model would be measured on its training data. Under
    ``torchrun`` all processes make this call and share the work; the first one writes, and all return the results,
    which are the same for any number of processes.

    Raises:
        LeakError: A model was trained on something to be measured, and ``allow_seen`` is false.
        ConfigError: There is nothing to measure, or settings cannot be combined.
        flantune.errors.FlantuneError: Data is missing, a model cannot be loaded or asked.
    """
    check_request(request)
    with joined() as processes, ExitStack() as until_done:
        processes.first(lambda: until_done.enter_context(locked(request.out)))
        told = (reporter or Silent()) if processes.is_first else Silent()
        told.stage("read the questions")
        questions = processes.in_turn(lambda: read_exams(request))
        for note in notes_of(questions.exams):
            told.note(note)
        models = check_candidates(candidates(request.models), questions.exams, allow_seen=request.allow_seen)
        watch = Stopwatch(RunFolder(request.out).seconds if processes.is_first else None, note=told.note)
        if request.budget is not None:
            questions = _within_budget(models, questions, request, told, watch)
        folder = RunFolder(request.out)
        asked = [_ask_model(one, questions, request, told, watch, folder=folder.asked(one.name)) for one in models]
        told.stage("score, write the page")
        found: list[Results] = []

        def conclude() -> None:
            found.append(_results(request, questions, asked, seconds=sum(watch.seconds.values())))
            _write(request, questions, asked, found[0], watch)

        processes.first(conclude)
        return next(one[0] for one in processes.gather(found) if one)


def folder_for(models: Sequence[str]) -> Path:
    """The default folder of an evaluation of these models.

    >>> folder_for(["runs/first/folds/nli/model", "base/model"]).as_posix()
    'evaluations/nli+base'
    """
    return Path("evaluations") / slug(*(short_name(model) for model in models))


# --- asking ---------------------------------------------------------------------------------------------------------


def _within_budget(
    models: Sequence[Candidate], questions: ChosenExams, request: EvaluationRequest, told: Reporter, watch: Stopwatch
) -> ChosenExams:
    """The questions within the budget; those of the pilot are then answered and not asked again."""
    folder = request.out / "pilot"

    def ask_pilot(few: ChosenExams) -> list[tuple[Graded, ...]]:
        return [_ask_model(one, few, request, told, watch, folder=folder / slug(one.name)).graded for one in models]

    return within_budget(
        questions,
        ask_pilot,
        points=request.budget or 0.0,
        confidence=request.confidence,
        seed=request.seed,
        note=told.note,
    )


def _ask_model(
    model: Candidate,
    questions: ChosenExams,
    request: EvaluationRequest,
    told: Reporter,
    watch: Stopwatch,
    *,
    folder: Path,
) -> _Asked:
    from flantune.evaluation.asking.ask import ask
    from flantune.evaluation.asking.score_store import ScoreStore
    from flantune.evaluation.asking.session import Session
    from flantune.models.arithmetic import slow_arithmetic
    from flantune.models.load import load_model
    from flantune.packing.chat import chat_tokens

    for reason in dict.fromkeys(reason for seen in model.seen.values() for reason in seen.reasons[:1]):
        told.note(f"{model.name}: {reason}")
    told.stage(f"load {model.name}")
    lm = load_model(request.model_settings(model.path))
    if slow := slow_arithmetic(lm.compute_dtype, lm.device):
        told.note(slow)
    with watch.stage(model.name):
        session = Session(
            lm=lm,
            folder=folder,
            store=ScoreStore(RunFolder(request.out).store),
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
        measured=MeasuredModel(
            name=model.name,
            fold="",
            path=model.path,
            fingerprint=session.fingerprint,
            trained_by_flantune=model.record is not None,
        ),
        answered=tuple(answered),
        graded=tuple(_graded(model, session, one) for one in answered),
        facts=facts,
    )


def _check_asked(session: Session, questions: ChosenExams, request: EvaluationRequest, told: Reporter) -> None:
    """Notes on the chat template, and on answers of tasks that the tokenizer cannot represent."""
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
    """Options of benchmarks that the tokenizer cannot represent; they are asked all the same."""
    for found in answered:
        key, counts = found.exam.key, found.counts
        if found.exam.score and counts.options_alike:
            yield f"{key}: {counts.options_alike:,} questions have options with the same tokens, which always tie"
        if found.exam.score and counts.answers_unknown:
            yield f"{key}: {counts.answers_unknown:,} questions have options with the unknown token in them"


# --- results --------------------------------------------------------------------------------------------------------


def _results(request: EvaluationRequest, questions: ChosenExams, asked: Sequence[_Asked], *, seconds: float) -> Results:
    about = About(
        kind="evaluation",
        models=tuple(one.measured for one in asked),
        protocols=tuple({exam.protocol.fingerprint: exam.protocol for exam in questions.exams}.values()),
        confidence=request.confidence,
        seed=request.seed,
        limit=request.limit,
        averages={name: scores for name, scores in AVERAGES.items() if name in request.suites},
        missing=tuple(Missing(score=one.score, name=one.name, needs=one.needs) for one in questions.missing),
        trusted_code=tuple(TrustedCode(score=one.key, files=dict(one.code)) for one in questions.exams if one.code),
        seconds=seconds,
    )
    each_exam = zip(*(one.graded for one in asked), strict=True)
    return summarize((Sitting(graded=graded) for graded in each_exam), about)


def _write(
    request: EvaluationRequest, questions: ChosenExams, asked: Sequence[_Asked], found: Results, watch: Stopwatch
) -> None:
    from flantune.report.page import render_evaluation
    from flantune.report.templating import write_page

    out = request.out
    write_value(RunFolder(out).results, found)
    write_page(RunFolder(out).report, render_evaluation(found, _browser(request, questions, found)))
    if request.harness_out is not None and questions.harness:
        _export(request.harness_out, request, questions, asked, watch)
    fingerprints = {f"protocol {one['name']}": name for name, one in found.protocols.items()}
    fingerprints |= {f"model {one.name}": one.fingerprint for one in found.models}
    write_manifest(out, seconds=watch.seconds, fingerprints=fingerprints)


def _browser(request: EvaluationRequest, questions: ChosenExams, found: Results) -> Browser:
    """Questions of every part and task for the sample browser, in the order of the tables."""
    from flantune.report.samples import asked_exam, collect_samples

    folders = {name: RunFolder(request.out).asked(name) for name in found.names}
    shown = [
        asked_exam(exam, {name: samples_path(folder, exam.key) for name, folder in folders.items()}, found)
        for exam in questions.exams
    ]
    return collect_samples(shown, root=request.out)


def _export(
    out: Path, request: EvaluationRequest, questions: ChosenExams, asked: Sequence[_Asked], watch: Stopwatch
) -> None:
    from datetime import datetime

    from flantune.harness.export import AskedModel, ExportedAnswers, write_export

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
            graded.exam.key: ExportedAnswers(table=next(iter(graded.tables.values())), samples=tuple(answered.samples))
            for graded, answered in zip(one.graded, one.answered, strict=True)
            if graded.exam.key in names
        }
        write_export(out, questions.harness, answers, model, now=datetime.now())
