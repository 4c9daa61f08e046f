"""``cot``: does tuning without chains of thought cost the model its own? Paper: Flan 2022, section 4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flantune.errors import ConfigError
from flantune.mixture.proportions import parts_of
from flantune.mixture.taxonomy import load_taxonomy
from flantune.prompts.graded import answer_marks, reasons_first
from flantune.prompts.styles import forward_templates
from flantune.settings.sections import Section
from flantune.studies.sides import trained_and_unseen
from flantune.studies.study import Arm, Measure, NamedStudy, Study
from flantune.studies.trees import chosen_tasks

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile
    from flantune.types import Task

_MEASURED = {"direct": "asked for the answer", "reasoned": "asked for reasons first"}
_OTHERS = "tuned on other tasks"


class Options(Section):
    """The study takes no options."""


def make(file: RunFile, tasks: Sequence[Task], options: Options) -> Study:  # noqa: ARG001 - it takes none
    """Four models (not tuned, tuned without, on nothing but and with chains of thought), each measured in both ways.

    A task with a template that wants reasons before the answer is a chain-of-thought task.

    Raises:
        ConfigError: The run file trains on no such task or on nothing else, or measures none that has both templates.
    """
    rules = load_taxonomy(file.config.holdout.taxonomy)
    trained, unseen = trained_and_unseen(file, tasks, rules)
    reasoned = {task.name for task in tasks if _kinds(task) & {True}}
    asked_both_ways = tuple(task.name for task in tasks if task.name in unseen and len(_kinds(task)) == 2)
    _check(reasoned, trained, asked_both_ways)
    models = _models(file, tasks, reasoned)
    arms = [
        Arm(
            name=f"{model}, {words}",
            settings={**settings, "evaluation.templates": kind},
            series=words,
            label=model,
            reads="base" if model == "not tuned" else "tuned",
        )
        for kind, words in _MEASURED.items()
        for model, settings in models.items()
    ]
    return Study(
        name="cot",
        question="Does tuning without chains of thought cost a model its own, and do a few of them keep it?",
        axis="what the model is tuned on",
        arms=tuple(arms),
        baseline=_OTHERS,
        measure=Measure() if set(asked_both_ways) == set(unseen) else Measure(of="tasks", names=asked_both_ways),
        figure="bars",
        equal="steps and tokens of a step; within either kind of task, shares are the run file's",
        notes=(
            f"measured on unseen tasks that can be asked both ways: {', '.join(asked_both_ways)}",
            "The paper measures benchmarks (MMLU, BBH, MGSM) in both ways; `flantune evaluate` does so for the tuned"
            " models of this study.",
        ),
    )


def _models(file: RunFile, tasks: Sequence[Task], reasoned: set[str]) -> Mapping[str, dict[str, object]]:
    """What each model is tuned on, as settings; the first is not tuned, and comes out of the last one's run."""
    tree, only = parts_of(file.config.mixture), file.config.mixture.only
    thoughts = [task.name for task in tasks if task.name in reasoned]
    others = [task.name for task in tasks if task.name not in reasoned]
    return {
        "not tuned": {},
        _OTHERS: chosen_tasks(tree, others, thoughts, only=only),
        "tuned on chains of thought": chosen_tasks(tree, thoughts, others, only=only),
        "tuned on both": {},
    }


def _kinds(task: Task) -> set[bool]:
    """Whether its forward templates want reasons first: of some, of others, or of both kinds."""
    return {reasons_first(answer_marks(template)) for template in forward_templates(task)}


def _check(reasoned: set[str], trained: Sequence[str], asked_both_ways: Sequence[str]) -> None:
    if not asked_both_ways:
        hint = "hold out a chain-of-thought task: --set 'holdout.task_folds=[[\"cot_gsm8k\"]]' --set 'holdout.folds=[]'"
        raise ConfigError("no unseen task can be asked both for its answer and for reasons first", hint=hint)
    if not reasoned & set(trained):
        hint = 'add some: [data] collection = ["flan2021", "cot"], or templates whose targets reason before {answer}'
        raise ConfigError("no chain-of-thought task is trained on", hint=hint)
    if not set(trained) - reasoned:
        raise ConfigError("nothing but chain-of-thought tasks is trained on", hint="add others, or hold less out")


STUDY = NamedStudy(
    name="cot",
    help="Tuned on other tasks, chains of thought or both; asked directly and for reasons (Flan 2022, section 4).",
    options=Options,
    make=make,
)
