"""``instructions``: is it the instructions that help, or the tasks alone? Paper: FLAN 2021, section 4.3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from flantune.settings.sections import Section
from flantune.settings.setting_types import Once
from flantune.studies.study import Arm, NamedStudy, Study

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile
    from flantune.types import Task

StyleName = Literal["inputs_only", "dataset_name", "instruction"]
Styles = Annotated[tuple[StyleName, ...], Once, Field(min_length=1)]
_ALL: Styles = ("inputs_only", "dataset_name", "instruction")
_WORDS = {"inputs_only": "no instruction", "dataset_name": "dataset name", "instruction": "instructions"}


class Options(Section):
    """Options of the study."""

    train: Styles = _ALL
    """How prompts are asked in training: "inputs_only", "dataset_name", "instruction"."""
    measure: Styles = _ALL
    """How they are asked when measuring; each way is crossed with each of training."""


def make(file: RunFile, tasks: Sequence[Task], options: Options) -> Study:  # noqa: ARG001 - the same of any tasks
    """An arm for each way to train and each way to measure; those that train alike share one tuned model."""
    arms = tuple(_arm(train, measure) for train in options.train for measure in options.measure)
    best = _arm("instruction", "instruction").name
    return Study(
        name="instructions",
        question="Is it the instructions that help with unseen tasks, or training on many tasks alone?",
        axis="how prompts are asked in training",
        arms=arms,
        baseline=best if any(arm.name == best for arm in arms) else arms[-1].name,
        figure="grid",
        equal="steps, tokens per step and tasks; answer options are listed in all arms, so that only the"
        " instruction is taken away",
        notes=(
            "The paper has four of these arms: no instruction and dataset name measured with instructions, dataset name"
            " and instructions measured as trained.",
        ),
    )


def _arm(train: StyleName, measure: StyleName) -> Arm:
    return Arm(
        name=f"trained with {_WORDS[train]}, measured with {_WORDS[measure]}",
        settings={"prompts.style": train, "evaluation.style": measure, "prompts.show_options": True},
        label=f"trained with {_WORDS[train]}",
        series=f"measured with {_WORDS[measure]}",
    )


STUDY = NamedStudy(
    name="instructions",
    help="No instruction, the dataset's name or instructions, in training and measuring crossed (FLAN 2021, 4.3).",
    options=Options,
    make=make,
)
