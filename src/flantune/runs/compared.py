"""Models of several runs compared on the same rows, from the runs' stored samples, without a model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np

from flantune.contamination.training_record import Seen
from flantune.errors import EvaluationError
from flantune.evaluation.exams import Exam
from flantune.evaluation.results import MeasuredModel, Results
from flantune.evaluation.run_samples import BASE, TUNED, FoldInput, TaskInfo
from flantune.evaluation.samples import read_origin, read_samples, samples_path
from flantune.evaluation.scored import Sitting
from flantune.evaluation.statistics.grades import Graded, GradeTable, Tables, grade
from flantune.evaluation.summarize import About, summarize
from flantune.evaluation.task_exams import recorded_exam
from flantune.mixture.taxonomy import load_taxonomy
from flantune.packing.packs import Counts
from flantune.runs.files import read_config
from flantune.runs.fold_inputs import fold_inputs, task_infos, with_one_name
from flantune.runs.folder import RunFolder
from flantune.settings.config import RunConfig
from flantune.types import Sample

Which = Literal["base", "tuned"]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the compared models: the tuned one of a run, or its base model."""

    folder: Path
    model: Which = "tuned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Scores of models of several runs on the same rows.

    Attributes:
        results: Their scores, and each later model's paired difference from the first, as in an evaluation.
        left_out: Task → why it is not compared, although some run measured it.
    """

    results: Results
    left_out: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """One side, read from its run's files."""

    name: str
    side: Side
    folder: RunFolder
    config: RunConfig
    folds: tuple[FoldInput, ...]
    tasks: Mapping[str, TaskInfo]

    def path(self, fold: str, task: str) -> Path:
        """The path of this model's samples of a task."""
        home = self.folder.base if self.side.model == BASE else self.folder.fold_named(fold).tuned
        return samples_path(home, task)


@dataclass(frozen=True, slots=True)
class _Place:
    """A task, and the fold of each side in which it is unseen, in the order of the sides."""

    task: str
    fold: str
    folds: tuple[str, ...]


def compare_runs(sides: Mapping[str, Side]) -> Comparison:
    """Compares models of several runs, task by task, on the rows that all of them answered.

    A task counts when every run measured it and left it unseen; where no run left any unseen, when every run measured
    it. Where runs held the same clusters out, fold is compared
    with fold; otherwise each task is taken from the first fold of each run that left it unseen.

    Args:
        sides: Name of a model → its run; all are compared with the first.

    Raises:
        EvaluationError: The runs share no task, were not asked or scored in the same way, or have different rows.
        FlantuneError: A run is not finished, or one of its files is damaged.
    """
    measured = _with_trained([_read(name, side) for name, side in sides.items()])
    first = measured[0]
    for other in measured[1:]:
        _check_alike(first, other)
    shared = _shared_folds(measured)
    places = list(_same_folds(measured, shared) if shared else _any_folds(measured))
    left_out = _left_out(measured, {place.task for place in places})
    if not places:
        told = "; ".join(f"{task}: {why}" for task, why in list(left_out.items())[:5])
        hint = "compare runs that hold out and measure the same tasks"
        raise EvaluationError(
            f"the runs have no unseen task in common{f' ({told})' if told else ''}", where=_where(sides), hint=hint
        )
    settings = first.config.evaluation
    about = About(
        kind="evaluation",
        models=tuple(chain.from_iterable(_models(one) for one in measured)),
        protocols=(settings.scoring,),
        confidence=settings.confidence,
        seed=first.config.seed,
        held_out={fold.name if len(shared) > 1 else "": fold.clusters for fold in shared} if shared else None,
        shots=_shared_shots(measured),
        answer_parsing=settings.answer_parsing,
    )
    return Comparison(results=summarize((_sitting(measured, place) for place in places), about), left_out=left_out)


def _read(name: str, side: Side) -> _Measured:
    folder = RunFolder(side.folder)
    config = read_config(folder)
    folds, tasks = with_one_name(
        fold_inputs(folder, config), task_infos(folder.data), taxonomy=load_taxonomy(config.holdout.taxonomy)
    )
    return _Measured(
        name=name,
        side=side,
        folder=folder,
        config=config,
        folds=tuple(folds),
        tasks={task.name: task for task in tasks},
    )


def _with_trained(measured: list[_Measured]) -> list[_Measured]:
    """The runs, with tasks both trained on and measured if there are no others."""
    if any(fold.unseen for run in measured for fold in run.folds):
        return measured
    return [
        replace(run, folds=tuple(replace(fold, unseen=fold.seen, seen=(), clusters=()) for fold in run.folds))
        for run in measured
    ]


def _where(sides: Iterable[str]) -> str:
    return " and ".join(sides)


# --- which tasks of which folds ---------------------------------------------------------------------------------------


def _shared_folds(measured: Sequence[_Measured]) -> list[FoldInput]:
    """The folds that all runs have: with the same name and held-out clusters."""
    others = [{(fold.name, fold.clusters) for fold in one.folds} for one in measured[1:]]
    same = (fold for fold in measured[0].folds if all((fold.name, fold.clusters) in found for found in others))
    return [fold for fold in same if fold.clusters]


def _same_folds(measured: Sequence[_Measured], shared: Sequence[FoldInput]) -> Iterator[_Place]:
    for fold in shared:
        unseen = [next(one for one in run.folds if one.name == fold.name).unseen for run in measured]
        for task in fold.unseen:
            if all(task in found for found in unseen):
                yield _Place(task, fold.name if len(shared) > 1 else "", (fold.name,) * len(measured))


def _any_folds(measured: Sequence[_Measured]) -> Iterator[_Place]:
    found = [_first_folds(run) for run in measured]
    for task in found[0]:
        if all(task in folds for folds in found):
            yield _Place(task, "", tuple(folds[task] for folds in found))


def _first_folds(run: _Measured) -> dict[str, str]:
    """Task → the first fold that left it unseen."""
    return {task: fold.name for fold in reversed(run.folds) for task in reversed(fold.unseen)}


def _left_out(measured: Sequence[_Measured], compared: set[str]) -> dict[str, str]:
    unseen = {run.name: _first_folds(run) for run in measured}
    every = dict.fromkeys(task for folds in unseen.values() for task in folds)
    return {
        task: f"not measured as unseen by {', '.join(lacking)}" if lacking else "unseen, but in folds that differ"
        for task in every
        if task not in compared
        for lacking in [[name for name, folds in unseen.items() if task not in folds]]
    }


def _shared_shots(measured: Sequence[_Measured]) -> tuple[int, ...]:
    each = [run.config.evaluation.shots for run in measured]
    shared = tuple(shots for shots in each[0] if all(shots in other for other in each))
    if not shared:
        hint = "measure them with one evaluation.shots in common"
        raise EvaluationError(
            f"the runs were asked with other numbers of exemplars: {' and '.join(str(list(one)) for one in each)}",
            where=_where(run.name for run in measured),
            hint=hint,
        )
    return shared


def _check_alike(first: _Measured, other: _Measured) -> None:
    """Makes sure that two runs were asked and scored in the same way.

    Raises:
        EvaluationError: Something differs.
    """
    one, two = (
        {**run.config.evaluation.scoring.to_json(), "answer_parsing": run.config.evaluation.answer_parsing}
        for run in (first, other)
    )
    unlike = [key for key in one if one[key] != two[key] and key not in ("name", "fingerprint")]
    if not unlike:
        return
    key = unlike[0]
    hint = "measure them with the same [evaluation] settings"
    if key == "normalization":
        hint = f"score them alike: `flantune rescore {other.folder.root} --normalization {one[key]}`"
    raise EvaluationError(
        f"the two were not asked and scored alike: {key} is {one[key]!r} in one and {two[key]!r} in the other",
        where=f"{first.name} and {other.name}",
        hint=hint,
    )


# --- their answers ----------------------------------------------------------------------------------------------------


def _models(run: _Measured) -> Iterator[MeasuredModel]:
    """The model for results; there is one tuned model per fold."""
    is_base = run.side.model == BASE
    base = run.folder.base / "model" if run.config.model.scratch else run.config.model.path
    for fold in run.folds[:1] if is_base else run.folds:
        origins = (read_origin(run.path(fold.name, task)) for task in (*fold.unseen, *fold.seen))
        yield MeasuredModel(
            name=run.name,
            fold="" if is_base or len(run.folds) == 1 else fold.name,
            path=str(base if is_base else run.folder.fold_named(fold.name).model),
            fingerprint=next((one.model for one in origins if one is not None), ""),
            trained_by_flantune=run.side.model == TUNED,
        )


@dataclass(slots=True)
class _Rows:
    """Samples to be graded, and the content of their rows, since row numbers are not enough."""

    contents: dict[int, str] = field(default_factory=dict)

    def watched(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        for sample in samples:
            if sample.split == "test" and sample.row not in self.contents:
                held = repr((sorted(sample.options), sample.references))
                self.contents[sample.row] = hashlib.sha256(held.encode("utf-8", "replace")).hexdigest()
            yield sample


def _sitting(measured: Sequence[_Measured], place: _Place) -> Sitting:
    """All models' answers to one task."""
    exam = _exam(measured[0], place.task)
    paths = [run.path(fold, place.task) for run, fold in zip(measured, place.folds, strict=True)]
    rows = [_Rows() for _ in paths]
    tables = [grade(found.watched(read_samples(path)), exam.grader) for found, path in zip(rows, paths, strict=True)]
    _check_rows(measured, place.task, rows)
    graded = (
        Graded(exam=exam, model=run.name, tables=found, counts=_counts(path), seen=_seen(run, fold, place.task))
        for run, fold, path, found in zip(
            measured, place.folds, paths, _on_common_rows(measured, place.task, tables), strict=True
        )
    )
    return Sitting(graded=tuple(graded), fold=place.fold, where=place.task)


def _exam(run: _Measured, name: str) -> Exam:
    task = run.tasks[name]
    return recorded_exam(
        name, clusters=task.clusters, kind=task.kind, metrics=task.metrics, settings=run.config.evaluation
    )


def _counts(path: Path) -> Counts:
    origin = read_origin(path)
    return origin.counts if origin else Counts()


def _seen(run: _Measured, fold: str, task: str) -> Seen:
    """The rows that its training overlaps with, if checked."""
    flagged = next(one.flagged for one in run.folds if one.name == fold)
    if flagged is None or run.side.model == BASE:
        return Seen()
    return Seen(rows=frozenset(flagged.get(task, ())))


def _check_rows(measured: Sequence[_Measured], task: str, rows: Sequence[_Rows]) -> None:
    for run, found in zip(measured[1:], rows[1:], strict=True):
        unlike = [row for row, held in found.contents.items() if rows[0].contents.get(row, held) != held]
        if unlike:
            hint = "measure both on the same data: the rows of one of them changed since"
            raise EvaluationError(
                f"row {unlike[0]} of {task} is not the same in both runs: other answers or options"
                + (f" (and {len(unlike) - 1:,} more)" if len(unlike) > 1 else ""),
                where=f"{measured[0].name} and {run.name}",
                hint=hint,
            )


def _on_common_rows(measured: Sequence[_Measured], task: str, each: Sequence[Tables]) -> Iterator[Tables]:
    """The tables of all models, restricted to the rows that all of them answered with every template."""
    keys = [key for key in each[0] if all(key in tables for tables in each)]
    kept = {}
    for key in keys:
        tables = [found[key] for found in each]
        _check_templates(measured, task, tables)
        kept[key] = frozenset.intersection(*(_answered(table) for table in tables))
        if not kept[key]:
            hint = "measure them with the same evaluation.rows and seed"
            raise EvaluationError(
                f"no row of {task} was answered by all", where=_where(run.name for run in measured), hint=hint
            )
    for found in each:
        yield {key: found[key].without(frozenset(found[key].rows) - kept[key]) for key in keys}


def _answered(table: GradeTable) -> frozenset[int]:
    """The rows that were not dropped with any template."""
    dropped = {table.rows[at] for at in np.flatnonzero((table.answers < 0).any(axis=1))}
    return frozenset(table.rows) - dropped


def _check_templates(measured: Sequence[_Measured], task: str, tables: Sequence[GradeTable]) -> None:
    for run, table in zip(measured[1:], tables[1:], strict=True):
        if table.templates != tables[0].templates:
            unlike = sorted({*table.templates} ^ {*tables[0].templates})
            hint = "measure both with the same templates"
            raise EvaluationError(
                f"{task} was not asked in the same templates: {', '.join(unlike[:4]) or 'their order differs'}",
                where=f"{measured[0].name} and {run.name}",
                hint=hint,
            )
