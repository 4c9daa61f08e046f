"""``paradigms``: three ways to use one model on the same tasks and rows. Paper: FLAN 2021, figure 2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flantune.settings.sections import Section
from flantune.settings.setting_types import Counts, Factor, Names, Natural, Positive, Switch
from flantune.studies.one_task import (
    Compared,
    Settings,
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

_BEST = "best template"
PROMPTING, FINETUNING, INSTRUCTIONS = "prompting", "pretrain–finetune", "instruction tuning"


class Options(Section):
    """Options of the study."""

    tasks: Names = ()
    """The tasks compared on, unseen by the model tuned on instructions; empty: all of the fold that have rows to tune
    on."""
    fold: Natural = 0
    """Which fold of the run file holds them out, counted from 0."""
    rows: Counts = (32, 0)
    """Labeled rows of each task that are tuned on; 0 means all."""
    shots: Positive = 4
    """Exemplars of few-shot prompting, always the same rows."""
    dev_rows: Positive = 200
    """Dev rows that pick the best template, at most. Paper: FLAN 2021, section 2.3."""
    steps: Natural = 0
    """Optimizer steps of each model tuned on one task; 0: as many as the run file's own."""
    prompt_tuning: Switch = True
    """Also tune virtual tokens alone (needs peft)."""
    prompt_learning_rate: Factor = 0.3
    """Learning rate of the virtual tokens. Paper: Lester et al. 2021."""


def make(file: RunFile, tasks: Sequence[Task], options: Options) -> Study:
    """An arm for each way to use the model; all are measured on the same rows of the same tasks.

    Raises:
        ConfigError: The run file or the tasks do not allow it.
    """
    check_pretrained(file)
    compared = compared_tasks(file, tasks, wanted=options.tasks, fold=options.fold)
    return Study(
        name="paradigms",
        question="What is each way to use the model worth on these tasks, and how many labeled rows does it need?",
        axis="way to use the model",
        arms=(
            *_prompting(file, compared, options),
            *_instructions(file, compared, options),
            *_finetuning(file, compared, options),
        ),
        baseline=INSTRUCTIONS,
        measure=Measure(of="tasks", names=compared.tasks),
        equal=(
            "test rows, templates, base model and tokens of a step; not labeled rows, which are counted. Tuned on one"
            f" task a model takes {_steps(file, options):,} steps, on instructions"
            f" {file.config.training.steps:,}"
        ),
        notes=(*compared.notes, *_without_dev(compared), _ROWS),
    )


_ROWS = (
    "Labeled rows are those of the measured task itself, each task's own: rows tuned on, exemplars, or the dev rows by"
    " which a template was picked."
)


def _without_dev(compared: Compared) -> Iterator[str]:
    if compared.without_dev:
        yield (
            f"without dev rows to pick a template by, so that “{_BEST}” is the mean over templates there:"
            f" {', '.join(compared.without_dev)}"
        )


def _steps(file: RunFile, options: Options) -> int:
    return options.steps or file.config.training.steps


def _prompting(file: RunFile, compared: Compared, options: Options) -> Iterator[Arm]:
    """The base model with prompting only. It is measured in the run of the tuned model, which exists already."""
    tuned = {**compared.tuned_settings, **mergeable(file)}
    few = f"few-shot ({options.shots})"
    for label, settings, rows in (
        ("zero-shot", asked(0), 0),
        (_BEST, asked(0, dev_rows=options.dev_rows), options.dev_rows),
        (few, asked(options.shots), options.shots),
    ):
        yield Arm(
            name=f"{PROMPTING}, {label}",
            label=label,
            series=PROMPTING,
            settings=tuned | settings,
            reads="base",
            templates="best-dev" if label == _BEST else "mean",
            labeled_rows=rows,
        )
    if options.prompt_tuning:
        yield from _alone(
            "prompt tuning",
            PROMPTING,
            prompt_settings(learning_rate=options.prompt_learning_rate),
            file,
            compared,
            options,
        )


def _instructions(file: RunFile, compared: Compared, options: Options) -> Iterator[Arm]:
    settings = {**compared.tuned_settings, **mergeable(file)}
    for name, shots in ((INSTRUCTIONS, 0), (f"{INSTRUCTIONS}, few-shot ({options.shots})", options.shots)):
        yield Arm(
            name=name,
            label=f"few-shot ({shots})" if shots else "zero-shot",
            series=INSTRUCTIONS,
            settings=settings | asked(shots),
            labeled_rows=shots,
        )


def _finetuning(file: RunFile, compared: Compared, options: Options) -> Iterator[Arm]:
    yield from _alone("finetuning", FINETUNING, {}, file, compared, options)


def _alone(
    what: str, series: str, changed: Settings, file: RunFile, compared: Compared, options: Options
) -> Iterator[Arm]:
    """The base model, tuned on each task separately, with each number of labeled rows."""
    for rows in options.rows:
        alone = compared.alone_settings(rows=rows, steps=_steps(file, options))
        yield Arm(
            name=f"{what}, {rows_label(rows)}",
            series=series,
            settings=alone | changed | asked(0),
            labeled_rows=rows or None,
        )


STUDY = NamedStudy(
    name="paradigms",
    help="Pretrain–finetune, prompting and instruction tuning on the same unseen tasks (FLAN 2021, figure 2).",
    options=Options,
    make=make,
)
