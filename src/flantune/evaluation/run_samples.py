"""From the samples of a run to its results: the base model and the tuned one of each fold. No model, no torch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.contamination.training_record import Seen
from flantune.errors import EvaluationError
from flantune.evaluation.exams import Exam, MissingExam
from flantune.evaluation.results import MeasuredModel, Missing, Results
from flantune.evaluation.samples import origin_path, read_origin, read_samples, samples_path
from flantune.evaluation.scored import Sitting
from flantune.evaluation.statistics.grades import Graded, grade
from flantune.evaluation.summarize import About, summarize
from flantune.evaluation.task_exams import recorded_exam
from flantune.packing.packs import Counts
from flantune.types import Kind

if TYPE_CHECKING:
    from flantune.settings.config import EvaluationSettings

BASE, TUNED = "base", "tuned"
"""The names of the two models of a run."""

_TRAINED_ON = Seen(reasons=("the fold was trained on this task",))
_REPEAT = "repeat the run's command: it asks only what was lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldInput:
    """One fold: what was held out, and which tasks are unseen.

    Attributes:
        name: Folder of the fold under ``folds/``.
        clusters: Clusters held out.
        unseen: Names of the tasks measured as unseen.
        seen: Names of tasks measured although they were trained on; reported separately.
        flagged: Task → test rows that overlap with the fold's training rows; None: not checked.
    """

    name: str
    clusters: tuple[str, ...]
    unseen: tuple[str, ...]
    seen: tuple[str, ...] = ()
    flagged: Mapping[str, Collection[int]] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInfo:
    """What is needed of a task to score its samples."""

    name: str
    clusters: tuple[str, ...]
    kind: Kind
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuitesInput:
    """Benchmarks that a run also measured.

    Attributes:
        exams: Their parts.
        missing: Parts without data.
        seen: Fold → exam → what its model has seen of it in training; "" is the base model.
    """

    exams: tuple[Exam, ...] = ()
    missing: tuple[MissingExam, ...] = ()
    seen: Mapping[str, Mapping[str, Seen]] = field(default_factory=dict, repr=False)

    def seen_of(self, fold: str, exam: Exam) -> Seen:
        """What a fold's model has seen of an exam in training."""
        return self.seen.get(fold, {}).get(exam.key, Seen())


def score_samples(
    folder: Path,
    *,
    folds: Sequence[FoldInput],
    tasks: Sequence[TaskInfo],
    settings: EvaluationSettings,
    name: str,
    seed: int,
    base: str = "",
    suites: SuitesInput | None = None,
) -> Results:
    """All results of a run's samples, as a pure function of the samples and the arguments.

    Args:
        folder: The run folder, with ``base/samples`` and ``folds/<fold>/tuned/samples``.
        folds: The folds of the run.
        tasks: The run's tasks.
        settings: Shots, protocol and confidence.
        name: Title of the run.
        seed: The run's seed, also for the bootstrap.
        base: Folder or hub id of the base model.
        suites: Benchmarks that were also measured; None: none.

    Raises:
        EvaluationError: Samples are missing, damaged, or the two models were asked different prompts.
    """
    benchmarks = suites or SuitesInput()
    protocols = (settings.scoring, *(exam.protocol for exam in benchmarks.exams))
    about = About(
        kind="run",
        name=name,
        models=tuple(_models(folder, folds, base=base)),
        protocols=tuple({one.fingerprint: one for one in protocols}.values()),
        confidence=settings.confidence,
        seed=seed,
        held_out={fold.name: fold.clusters for fold in folds},
        shots=settings.shots,
        answer_parsing=settings.answer_parsing,
        limit=settings.suite_limit if benchmarks.exams else 0,
        missing=tuple(Missing(score=one.score, name=one.name, needs=one.needs) for one in benchmarks.missing),
    )
    found = (_sittings(folder, folds, tasks, settings), _suite_sittings(folder, folds, benchmarks))
    return summarize(chain.from_iterable(found), about)


def _models(folder: Path, folds: Sequence[FoldInput], *, base: str) -> Iterator[MeasuredModel]:
    """The base model, and the tuned one of each fold."""
    asked = dict.fromkeys(name for fold in folds for name in (*fold.unseen, *fold.seen))
    fingerprint = _fingerprint(folder / "base", asked)
    yield MeasuredModel(name=BASE, fold="", path=base, fingerprint=fingerprint, trained_by_flantune=False)
    for fold in folds:
        home = folder / "folds" / fold.name
        yield MeasuredModel(
            name=TUNED,
            fold=fold.name,
            path=(home / "model").relative_to(folder).as_posix(),
            fingerprint=_fingerprint(home / "tuned", (*fold.unseen, *fold.seen)),
            trained_by_flantune=True,
        )


def _fingerprint(home: Path, tasks: Iterable[str]) -> str:
    """The model of these samples, as far as they say."""
    origins = (read_origin(samples_path(home, name)) for name in tasks)
    return next((one.model for one in origins if one is not None), "")


def _sittings(
    folder: Path, folds: Sequence[FoldInput], tasks: Sequence[TaskInfo], settings: EvaluationSettings
) -> Iterator[Sitting]:
    exams = {
        one.name: recorded_exam(one.name, clusters=one.clusters, kind=one.kind, metrics=one.metrics, settings=settings)
        for one in tasks
    }
    for fold in folds:
        for name in (*fold.unseen, *fold.seen):
            if name not in exams:
                raise EvaluationError(f'no task "{name}" in this run', where=f"fold {fold.name}")
            path = samples_path(folder / "folds" / fold.name / "tuned", name)
            before = _graded(exams[name], BASE, samples_path(folder / "base", name), Seen(reasons=()))
            after = _graded(exams[name], TUNED, path, _seen(fold, name))
            yield Sitting(graded=(before, after), fold=fold.name, where=str(path))


def _suite_sittings(folder: Path, folds: Sequence[FoldInput], suites: SuitesInput) -> Iterator[Sitting]:
    for fold in folds:
        for exam in suites.exams:
            path = samples_path(folder / "folds" / fold.name / "tuned", exam.key)
            before = _graded(exam, BASE, samples_path(folder / "base", exam.key), suites.seen_of("", exam))
            after = _graded(exam, TUNED, path, suites.seen_of(fold.name, exam))
            yield Sitting(graded=(before, after), fold=fold.name, where=str(path))


def _seen(fold: FoldInput, task: str) -> Seen:
    """What the fold's model has seen of a task in training."""
    if task in fold.seen:
        return _TRAINED_ON
    return Seen(reasons=(), rows=None if fold.flagged is None else frozenset(fold.flagged.get(task, ())))


def _graded(exam: Exam, model: str, path: Path, seen: Seen) -> Graded:
    """The grades of one file of samples.

    Raises:
        EvaluationError: It has changed since it was written, so its numbers cannot be trusted.
    """
    origin = read_origin(path)
    if origin is None and path.is_file() and origin_path(path).exists():
        raise EvaluationError("the samples are not what was written there", where=str(path), hint=_REPEAT)
    return Graded(
        exam=exam,
        model=model,
        tables=grade(read_samples(path), exam.grader, chance=exam.chance),
        counts=origin.counts if origin else Counts(),
        seen=seen,
    )
