"""``templates``: does it help to ask each task in more ways? Paper: FLAN 2021, appendix B; its code: 1, 2, 4, 7, 10."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from flantune.errors import ConfigError
from flantune.mixture.taxonomy import load_taxonomy
from flantune.settings.sections import Section
from flantune.settings.setting_types import Once, Positive, Switch
from flantune.studies import paper, splits
from flantune.studies.sides import split_settings
from flantune.studies.study import Arm, NamedStudy, Study

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile
    from flantune.types import Task


class Options(Section):
    """Options of the study."""

    counts: Annotated[tuple[Positive, ...], Once, Field(min_length=1)] = paper.TEMPLATE_COUNTS
    """Numbers of templates of each training task, from its first on; those that no task has are left out."""
    super_glue: Switch = False
    """Hold SuperGLUE's tasks out, as FLAN 2021's code does, instead of what the run file holds out."""


def make(file: RunFile, tasks: Sequence[Task], options: Options) -> Study:
    """An arm for each number of templates; every arm is measured with the same templates.

    Raises:
        ConfigError: Training tasks have one template each.
    """
    held: dict[str, object] = {}
    asked = list(tasks)
    if options.super_glue:
        split = splits.without_tasks(
            tasks, load_taxonomy(file.config.holdout.taxonomy), paper.SUPER_GLUE, name="SuperGLUE"
        )
        held, asked = split_settings(split, file, tasks), [task for task in tasks if task.name in split.train]
    inverted = file.config.prompts.include_inverted
    most = max(sum(inverted or not template.is_inverted for template in task.templates) for task in asked)
    if most < 2:
        raise ConfigError("every task has one template, so there is nothing to compare", hint="add templates")
    counts = sorted({min(count, most) for count in options.counts})
    left = [str(count) for count in sorted(options.counts) if count > most]
    arms = tuple(
        Arm(
            name=f"{count} {'template' if count == 1 else 'templates'}",
            settings={**held, "prompts.max_templates": count},
            x=count,
        )
        for count in counts
    )
    return Study(
        name="templates",
        question="Does it help with unseen tasks to ask each training task in more ways?",
        axis="templates of each training task",
        arms=arms,
        baseline=arms[0].name,
        figure="line",
        equal="steps, tokens per step, tasks and rows; every arm is measured with the same templates",
        notes=(f"no task has more than {most} templates, so {most} stands for {', '.join(left)}",) if left else (),
    )


STUDY = NamedStudy(
    name="templates",
    help="Each training task asked in 1, 2, 4, 7 or 10 templates; measured with all (FLAN 2021, appendix B).",
    options=Options,
    make=make,
)
