"""The findings for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from flantune.contamination.findings import Contamination, FoldFinding, ShownOverlap, TaskFinding

_TASKS_NAMED = 3
_WIDEST_NAME = 24


def contamination_table(report: Contamination) -> Group:
    """One table per fold, with a few overlaps below it."""
    return Group(*(part for fold in report.folds for part in _fold(fold)))


def summary_line(report: Contamination) -> str:
    """The findings in one sentence."""
    tasks = [task for fold in report.folds for task in fold.tasks]
    dirty = [task for task in tasks if task.dirty]
    if not dirty:
        noun = "measured task" if len(tasks) == 1 else "measured tasks"
        return f"no overlap: none of {sum(task.rows for task in tasks):,} test rows of {len(tasks)} {noun}"
    rows = sum(len(task.dirty) for task in dirty)
    of = sum(task.rows for task in tasks)
    train = sum(len(one.dirty) for fold in report.folds for one in fold.train)
    return (
        f"{rows:,} of {of:,} test rows ({rows / of:.1%}) in {len(dirty)} of {len(tasks)} measured tasks overlap with "
        f"{train:,} training rows"
    )


def _fold(fold: FoldFinding) -> Iterator[RenderableType]:
    rows = sum(one.rows for one in fold.train)
    title = f"held out: {', '.join(fold.held_out)} — against {rows:,} training rows of {len(fold.train)} tasks"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    # On narrow terminals names are wrapped, not cut.
    longest = max((len(task.task) for task in fold.tasks), default=0)
    table.add_column("measured task", overflow="fold", min_width=min(longest, _WIDEST_NAME))
    for name in ("rows", "dirty", "share", "n-gram", "near duplicate", "too short"):
        table.add_column(name, justify="right", overflow="fold", min_width=len(max(name.split(), key=len)))
    for task in fold.tasks:
        table.add_row(*(Text(cell) for cell in _cells(task)))
    yield table
    for task in fold.tasks:
        if task.fields or task.training:
            yield Text(_where(task))
        for shown in task.examples:
            yield Text(_example(task.task, shown))
    if fold.common_grams:
        yield Text(f"{fold.common_grams:,} n-grams were ignored: too many training texts contain them")


def _cells(task: TaskFinding) -> Iterator[str]:
    yield task.task
    yield from (f"{task.rows:,}", f"{len(task.dirty):,}", f"{task.share:.1%}")
    yield from (f"{task.overlapping:,}", f"{task.duplicates:,}", f"{task.too_short:,}")


def _where(task: TaskFinding) -> str:
    """The fields with a task's overlaps, and the training tasks involved with the number of test rows affected."""
    fields = ", ".join(f"{name} {count:,}" for name, count in task.fields.items())
    named = [f"{one.task} {max(one.overlapping, one.duplicates):,}" for one in task.training[:_TASKS_NAMED]]
    more = len(task.training) - len(named)
    training = ", ".join(named + ([f"{more} more"] if more else []))
    return f"{task.task}: in {fields or 'no single field'}; test rows by training task: {training or 'none'}"


def _example(task: str, shown: ShownOverlap) -> str:
    what = f"{shown.words} words" if shown.jaccard is None else f"Jaccard index {shown.jaccard:.2f}"
    places = f"{task} test row {shown.row} {shown.field} = {shown.train_task} train row {shown.train_row} "
    return f"  {places}{shown.train_field}, {what}: “{shown.span}”"
