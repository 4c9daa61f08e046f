"""The exams of an evaluation: benchmarks, harness files and tasks, read before any model is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.commands.evaluation_request import EvaluationRequest, check_drawn
from flantune.errors import ConfigError
from flantune.evaluation.asking.task_questions import TaskQuestions
from flantune.evaluation.exams import Exam, MissingExam
from flantune.evaluation.task_exams import task_exam
from flantune.settings.config import PackingSettings, RunConfig
from flantune.suites.catalog import choose_exams, missing_lines
from flantune.suites.checked import with_cut_golds
from flantune.suites.suite import SuiteData

if TYPE_CHECKING:
    from flantune.harness.read import HarnessExam
    from flantune.tasks.example_store import PreparedTask


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenExams:
    """What to measure.

    Attributes:
        exams: All exams: benchmarks, the harness's tasks, tasks in flantune's own format.
        missing: Exams without data.
        harness: More about the harness's tasks.
        prepared: More about tasks in flantune's own format.
    """

    exams: tuple[Exam, ...]
    missing: tuple[MissingExam, ...]
    harness: tuple[HarnessExam, ...] = ()
    prepared: tuple[PreparedTask, ...] = ()


def read_exams(request: EvaluationRequest) -> ChosenExams:
    """Reads all requested exams.

    Raises:
        ConfigError: There is nothing to measure, or it cannot be combined with other settings.
        flantune.errors.FlantuneError: Data is missing, or a file cannot be read.
    """
    data = SuiteData(
        root=request.root,
        limit=request.limit,
        shots=request.shots,
        seed=request.seed,
        trigger=request.prompts.trigger,
    )
    exams: tuple[Exam, ...] = ()
    missing: tuple[MissingExam, ...] = ()
    if request.suites:
        chosen = choose_exams(request.suites, data, skip_missing=request.skip_missing, protocol=request.protocol_of)
        exams, missing = chosen.exams, chosen.missing
    harness = _harness(request, data)
    prepared, left_out = _tasks(request)
    missing = (*missing, *left_out)
    _check_names(exams, harness)
    exams = tuple(with_cut_golds(exam) for exam in (*exams, *(one.exam for one in harness)))
    check_drawn(request, exams)
    if not exams and not prepared:
        hint = "name a --suite, --tasks, a --collection or a --harness file"
        lacking = f":\n{missing_lines(missing)}" if missing else ""
        raise ConfigError(f"there is nothing to measure{lacking}", hint=hint)
    how = TaskQuestions(evaluation=request.task_settings, prompts=request.prompts, seed=request.seed)
    tasks = tuple(task_exam(one, how, PackingSettings()) for one in prepared)
    return ChosenExams(exams=(*exams, *tasks), missing=missing, harness=harness, prepared=prepared)


def _harness(request: EvaluationRequest, data: SuiteData) -> tuple[HarnessExam, ...]:
    if not request.harness:
        return ()
    from flantune.harness.read import harness_exams
    from flantune.harness.task_code import Limits

    limits = Limits() if request.trust_task_code else None
    found = harness_exams(request.harness, data, limits=limits, protocol=request.harness_protocol)
    begun = [one.task.path for one in found if one.task.text("gen_prefix")]
    if begun and request.prompts.chat:
        hint = "leave --chat out, or write the beginning of the answer into doc_to_text"
        raise ConfigError("gen_prefix is not read with --chat", where=str(begun[0]), hint=hint)
    return found


def _tasks(request: EvaluationRequest) -> tuple[tuple[PreparedTask, ...], tuple[MissingExam, ...]]:
    """The tasks with test rows, and those that cannot be measured."""
    if request.data is None:
        return (), ()
    from flantune.commands.plan import prepare_tasks

    config = RunConfig(data=request.data)
    prepared, skipped = prepare_tasks(config, root=Path.cwd(), cache=request.data.cache or request.out / "data")
    needs = {name: f"its data: {why}" for name, why in skipped.items()}
    needs |= {one.task.name: "test rows" for one in prepared if not len(one.stores.get("test", ()))}
    kept = tuple(one for one in prepared if one.task.name not in needs)
    return kept, tuple(MissingExam(score=name, name="", needs=need) for name, need in needs.items())


def _check_names(exams: Sequence[Exam], harness: Sequence[HarnessExam]) -> None:
    """Exams with the same score name are averaged, so a benchmark and a harness task must not share one.

    Raises:
        ConfigError: Two share a name.
    """
    taken = {exam.score for exam in exams}
    for one in harness:
        if one.exam.score in taken:
            hint = "evaluate the two apart, or give the task another name"
            message = f'"{one.exam.score}" is the name of a benchmark of --suite as well'
            raise ConfigError(message, where=str(one.task.path), hint=hint)


def notes_of(exams: Sequence[Exam]) -> Iterator[str]:
    """How the exams differ from their authors' procedure, each point once."""
    named: dict[str, list[str]] = {}
    for exam in exams:
        for note in exam.notes:
            named.setdefault(note, []).append(exam.key)
    for note, keys in named.items():
        yield f"{keys[0]}{f' and {len(keys) - 1} more' if len(keys) > 1 else ''}: {note}"
