"""A run file's folds, each with its training tasks against its unseen tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.commands.plan import numbered_fold, prepare_tasks, split_fold
from flantune.contamination.compare import compare
from flantune.contamination.findings import Contamination, FoldFinding, Settings
from flantune.evaluation.seen import question_texts
from flantune.mixture.holdout import Fold, folds_of, run_folds
from flantune.system.progress import Reporter, Silent
from flantune.types import Example

if TYPE_CHECKING:
    from flantune.evaluation.exams import Exam
    from flantune.settings.run_file import RunFile
    from flantune.tasks.example_store import PreparedTask
    from flantune.types import SplitRole


def check_run(
    file: RunFile,
    *,
    cache: Path,
    settings: Settings,
    only_fold: int | None = None,
    exams: Sequence[Exam] = (),
    reporter: Reporter | None = None,
) -> Contamination:
    """What the unseen tasks of each fold of a run, and benchmarks, share with what is trained on.

    Args:
        file: The run file.
        cache: Folder of adapted examples, unless the run file names one.
        settings: What counts as an overlap.
        only_fold: Look at this fold only, counted from 0.
        exams: Parts of benchmarks, whose questions are looked for in each fold's training rows too. Where nothing is
            held out, they alone are looked for, or without them the test rows of the very tasks that are trained on.
        reporter: Shown the progress.

    Raises:
        ConfigError: There is no such fold.
    """
    told = reporter or Silent()
    chosen = _folds(file, only_fold, has_exams=bool(exams))
    questions = [_questions(exam) for exam in exams]
    told.stage("read the tasks")
    config = file.config
    prepared, skipped = prepare_tasks(
        config, root=file.root, cache=config.data.cache or cache, on_task=lambda n, of, name: told.step(n, of, name)
    )
    for name, reason in skipped.items():
        told.note(f"{name} is left out: {reason}")
    findings = []
    for fold in chosen:
        told.stage(f"compare what is trained on with {_looked_at(fold)}")
        findings.append(_check_fold(file, prepared, fold, questions, settings, told))
    return Contamination(name=config.name, settings=settings, folds=tuple(findings))


def _looked_at(fold: Fold) -> str:
    return "its own test rows" if fold.is_plain else fold.alone or ", ".join(fold.held_out) or "benchmarks"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Name:
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Questions:
    """The questions of an exam as test rows."""

    task: _Name
    stores: Mapping[SplitRole, Sequence[Example]]


def _questions(exam: Exam) -> _Questions:
    """An exam's questions as test rows: their lines, and the right answers."""
    found: dict[tuple[int, str], Example] = {}
    for prompt in exam.prompts:
        text = "\n".join(question_texts(prompt))
        right = (prompt.options[prompt.answer],) if prompt.answer is not None else prompt.references
        found[prompt.row, text] = Example(row=prompt.row, fields={"question": text}, references=right)
    return _Questions(task=_Name(name=exam.key), stores={"test": tuple(found.values())})


def _folds(file: RunFile, only_fold: int | None, *, has_exams: bool) -> Sequence[Fold]:
    folds = folds_of(file.config.holdout)
    if not folds and has_exams and not only_fold:
        return (Fold(),)
    if only_fold is None:
        return run_folds(file.config.holdout)
    return (numbered_fold(file.config, only_fold),)


def _check_fold(
    file: RunFile,
    prepared: Sequence[PreparedTask],
    fold: Fold,
    questions: Sequence[_Questions],
    settings: Settings,
    told: Reporter,
) -> FoldFinding:
    tasks = [p.task for p in prepared]
    split = split_fold(file.config, tasks, fold)
    train, asked = ({task.name for task in tasks} for tasks in (split.train, split.measured))
    return compare(
        [p for p in prepared if p.task.name in train],
        [*(p for p in prepared if p.task.name in asked), *questions],
        settings=settings,
        held_out=split.held_out,
        on_rows=told.step,
    )
