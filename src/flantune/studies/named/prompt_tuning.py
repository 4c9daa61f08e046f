"""``prompt-tuning``: do instructions make a model easier to tune by its prompt? Paper: FLAN 2021, section 4.5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flantune.settings.sections import Section
from flantune.settings.setting_types import Counts, Factor, Names, Natural
from flantune.studies.one_task import (
    asked,
    check_pretrained,
    compared_tasks,
    mergeable,
    prompt_settings,
    rows_label,
)
from flantune.studies.study import Arm, Measure, NamedStudy, Study

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile
    from flantune.types import Task

_BASE, _TUNED, _NO_ROW = "base model", "tuned model", "no row"
_START = f"{_TUNED}, {_NO_ROW}"


class Options(Section):
    """Options of the study."""

    tasks: Names = ()
    """The tasks compared on, unseen by the model tuned on instructions; empty: all of the fold that have rows to tune
    on."""
    fold: Natural = 0
    """Which fold of the run file holds them out, counted from 0."""
    rows: Counts = (32, 0)
    """Labeled rows of each task that are tuned on; 0 means all. Paper: 32 and all."""
    steps: Natural = 0
    """Optimizer steps of each prompt; 0: as many as the run file's own."""
    learning_rate: Factor = 0.3
    """Learning rate of the virtual tokens. Paper: Lester et al. 2021."""


def make(file: RunFile, tasks: Sequence[Task], options: Options) -> Study:
    """Virtual tokens before the base model and before the tuned one, on few labeled rows and on all.

    Raises:
        ConfigError: The run file or the tasks do not allow it.
    """
    check_pretrained(file)
    compared = compared_tasks(file, tasks, wanted=options.tasks, fold=options.fold)
    steps = options.steps or file.config.training.steps
    virtual = prompt_settings(learning_rate=options.learning_rate)
    tuned = {**compared.tuned_settings, **mergeable(file), **asked(0)}
    arms = [
        Arm(name=f"{_BASE}, {_NO_ROW}", label=_BASE, series=_NO_ROW, settings=tuned, reads="base", labeled_rows=0),
        Arm(name=_START, label=_TUNED, series=_NO_ROW, settings=tuned, labeled_rows=0),
    ]
    for rows in options.rows:
        alone = compared.alone_settings(rows=rows, steps=steps) | virtual | asked(0)
        arms += [
            Arm(
                name=f"prompt of the {label}, {rows_label(rows)}",
                label=label,
                series=rows_label(rows),
                settings=alone,
                labeled_rows=rows or None,
                starts_from=start,
            )
            for label, start in ((_BASE, ""), (_TUNED, _START))
        ]
    return Study(
        name="prompt-tuning",
        question="Is a model tuned on instructions easier to tune by its prompt, on a task that it never saw?",
        axis="labeled rows of the task",
        arms=tuple(arms),
        # Each pair has the same rows.
        baseline=_BASE,
        measure=Measure(of="tasks", names=compared.tasks),
        equal=f"labeled rows, {steps:,} steps of each prompt, tokens of a step and virtual tokens",
        notes=compared.notes,
    )


STUDY = NamedStudy(
    name="prompt-tuning",
    help="Virtual tokens before the base and the tuned model, few labeled rows and all (FLAN 2021, 4.5).",
    options=Options,
    make=make,
)
