"""``warm-start``: is a tuned model a better start for a single task? Paper: Longpre et al. 2023."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flantune.settings.sections import Section
from flantune.settings.setting_types import Counts, Names, Natural
from flantune.studies.one_task import Compared, asked, check_pretrained, compared_tasks, mergeable
from flantune.studies.study import Arm, Measure, NamedStudy, Study

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile
    from flantune.types import Task

_BASE, _TUNED = "base model", "tuned model"
_FIRST = "tuned on instructions, no step"


class Options(Section):
    """Options of the study."""

    tasks: Names = ()
    """The tasks tuned on one by one, unseen by the model tuned on instructions; empty: all of the fold that have rows
    to tune on."""
    fold: Natural = 0
    """Which fold of the run file holds them out, counted from 0."""
    rows: Natural = 0
    """Labeled rows of each task that are tuned on; 0 means all."""
    steps: Counts = ()
    """How many steps are taken, each number by a model of its own; empty: an eighth, a quarter, half and all of the run
    file's own."""


def make(file: RunFile, tasks: Sequence[Task], options: Options) -> Study:
    """One task tuned from the base model and from the tuned one, with increasing numbers of steps.

    Raises:
        ConfigError: The run file or the tasks do not allow it.
    """
    check_pretrained(file)
    compared = compared_tasks(file, tasks, wanted=options.tasks, fold=options.fold)
    # Without a step there is nothing to tune, and these two points exist anyway.
    steps = tuple(sorted(one for one in options.steps if one)) or _halved(file.config.training.steps)
    return Study(
        name="warm-start",
        question="Does tuning on a single task go further, or faster, from the model tuned on other tasks?",
        axis="steps on the task",
        arms=tuple(_arms(file, compared, steps=steps, rows=options.rows)),
        baseline=_name(_BASE, steps[-1]),
        measure=Measure(of="tasks", names=compared.tasks),
        figure="line",
        equal="labeled rows, tokens per step and learning rate; each number of steps is a separate tuning",
        notes=compared.notes,
    )


def _halved(steps: int) -> tuple[int, ...]:
    """An eighth, a quarter, half and all of the steps.

    >>> _halved(1000), _halved(3)
    ((125, 250, 500, 1000), (1, 3))
    """
    return tuple(sorted({max(1, steps // part) for part in (8, 4, 2, 1)}))


def _arms(file: RunFile, compared: Compared, *, steps: Sequence[int], rows: int) -> Iterator[Arm]:
    tuned = {**compared.tuned_settings, **mergeable(file), **asked(0)}
    yield Arm(name="base model, no step", x=0, series=_BASE, settings=tuned, reads="base", labeled_rows=0)
    yield Arm(name=_FIRST, x=0, series=_TUNED, settings=tuned, labeled_rows=0)
    for series, first in ((_BASE, ""), (_TUNED, _FIRST)):
        for number in steps:
            yield Arm(
                name=_name(series, number),
                x=number,
                series=series,
                settings=compared.alone_settings(rows=rows, steps=number) | asked(0),
                labeled_rows=rows or None,
                starts_from=first,
            )


def _name(series: str, steps: int) -> str:
    return f"from the {series}, {steps:,} {'step' if steps == 1 else 'steps'}"


STUDY = NamedStudy(
    name="warm-start",
    help="One task tuned from the base model or from the tuned one, by steps (Longpre et al. 2023).",
    options=Options,
    make=make,
)
