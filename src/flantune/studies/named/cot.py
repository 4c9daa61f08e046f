"""``cot``: does tuning without chains of thought cost the model its own? Paper: Flan 2022, section 4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flantune.errors import ConfigError
from flantune.mixture.proportions import parts_of
from flantune.mixture.taxonomy import load_taxonomy
from flantune.prompts.graded import answer_marks, reasons_first
from flantune.prompts.styles import forward_templates
from flantune.settings.sections import Section
from flantune.settings.setting_types import Names
from flantune.studies.sides import trained_and_unseen
from flantune.studies.study import Arm, Measure, NamedStudy, Study
from flantune.studies.trees import chosen_tasks
from flantune.suites.catalog import names as suite_names

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile
    from flantune.types import Task

_MEASURED = {"direct": "asked for the answer", "reasoned": "asked for reasons first"}
_SCORES = {"direct": "direct", "reasoned": "cot"}
_OTHERS = "tuned on other tasks"


class Options(Section):
    """Options of the study."""

    benchmarks: Names = ()
    """Benchmarks that are asked in both ways, such as "bbh" and "mmlu", as in the paper; their data is found as by
    `evaluation.suites`. Empty: the unseen tasks that have templates of both kinds."""


def make(file: RunFile, tasks: Sequence[Task], options: Options) -> Study:
    """Four models (not tuned, tuned without, on nothing but and with chains of thought), each measured in both ways.

    A task with a template that asks for reasoning before the answer is a chain-of-thought task.

    Raises:
        ConfigError: The run file trains on no such task or on no other, or measures none that has both kinds of
            template; a benchmark cannot be asked in both ways.
    """
    rules = load_taxonomy(file.config.holdout.taxonomy)
    trained, unseen = trained_and_unseen(file, tasks, rules)
    reasoned = {task.name for task in tasks if True in _kinds(task)}
    _check_training(reasoned, trained)
    asked = _benchmarks_asked(options.benchmarks) if options.benchmarks else _tasks_asked(tasks, unseen)
    models = _models(file, tasks, reasoned)
    arms = [
        Arm(
            name=f"{model}, {words}",
            settings={**settings, **asked.settings(kind)},
            series=words,
            label=model,
            reads="base" if model == "not tuned" else "tuned",
            measure=asked.measure(kind),
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
        measure=asked.measure("direct"),
        figure="bars",
        equal="steps and tokens per step; within either kind of task, shares are the run file's",
        notes=(f"measured in both ways: {', '.join(asked.names)}",),
    )


@dataclass(frozen=True, slots=True)
class _Tasks:
    """Unseen tasks with templates of both kinds, and whether these are all unseen tasks."""

    names: tuple[str, ...]
    are_all: bool

    def settings(self, kind: str) -> dict[str, object]:
        return {"evaluation.templates": kind}

    def measure(self, kind: str) -> Measure:  # noqa: ARG002 - the templates differ, the tasks do not
        return Measure() if self.are_all else Measure(of="tasks", names=self.names)


@dataclass(frozen=True, slots=True)
class _Benchmarks:
    """Benchmarks by name, each with a score for each way of asking."""

    names: tuple[str, ...]

    def settings(self, kind: str) -> dict[str, object]:
        return {"evaluation.suites": list(self._scores(kind))}

    def measure(self, kind: str) -> Measure:
        return Measure(of="benchmarks", names=self._scores(kind))

    def _scores(self, kind: str) -> tuple[str, ...]:
        return tuple(f"{name}_{_SCORES[kind]}" for name in self.names)


def _benchmarks_asked(names: tuple[str, ...]) -> _Benchmarks:
    known = {*suite_names()}
    both = [name for name in suite_names() if {f"{name}_{way}" for way in _SCORES.values()} <= known]
    if one_way := [name for name in names if name not in both]:
        hint = f"asked in both ways are: {', '.join(both)}"
        raise ConfigError(f"not asked in both ways: {', '.join(one_way)}", where="benchmarks", hint=hint)
    return _Benchmarks(names)


def _tasks_asked(tasks: Sequence[Task], unseen: Sequence[str]) -> _Tasks:
    both = tuple(task.name for task in tasks if task.name in unseen and len(_kinds(task)) == 2)
    if not both:
        hint = (
            "hold out a chain-of-thought task: --set 'holdout.task_folds=[[\"cot_gsm8k\"]]' --set 'holdout.folds=[]';"
            " or measure benchmarks: --option 'benchmarks=[\"bbh\"]'"
        )
        raise ConfigError("no unseen task can be asked both for its answer and for reasons first", hint=hint)
    return _Tasks(both, set(both) == set(unseen))


def _models(file: RunFile, tasks: Sequence[Task], reasoned: set[str]) -> Mapping[str, dict[str, object]]:
    """What each model is tuned on, as settings; the first is not tuned, and is taken from the last one's run."""
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
    """The kinds of its forward templates: direct, with reasoning first, or both."""
    return {reasons_first(answer_marks(template)) for template in forward_templates(task)}


def _check_training(reasoned: set[str], trained: Sequence[str]) -> None:
    if not reasoned & set(trained):
        hint = 'add some: [data] collection = ["flan2021", "cot"], or templates whose targets reason before {answer}'
        raise ConfigError("no chain-of-thought task is trained on", hint=hint)
    if not set(trained) - reasoned:
        raise ConfigError("nothing but chain-of-thought tasks is trained on", hint="add others, or hold out less")


STUDY = NamedStudy(
    name="cot",
    help="Tuned on other tasks, chains of thought or both; asked directly and for reasons (Flan 2022, section 4).",
    options=Options,
    make=make,
)
