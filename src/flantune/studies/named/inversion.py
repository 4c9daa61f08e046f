"""``inversion``: do templates that turn a task around help? Paper: the Flan Collection, table 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flantune.errors import ConfigError
from flantune.mixture.parts import forms_of
from flantune.mixture.proportions import parts_of
from flantune.settings.mixture_settings import PartSettings
from flantune.settings.sections import Section
from flantune.studies.study import Arm, NamedStudy, Study
from flantune.studies.trees import changed, tree_settings

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile
    from flantune.types import Task


class Options(Section):
    """The study takes no options."""


def make(file: RunFile, tasks: Sequence[Task], options: Options) -> Study:  # noqa: ARG001 - it takes none
    """Two arms: with inverted templates in training, and without.

    Raises:
        ConfigError: No task has an inverted template, or no part of the mixture takes them.
    """
    if not any(template.is_inverted for task in tasks for template in task.templates):
        raise ConfigError("no task has an inverted template", hint="write some: docs/templates.md")
    tree = parts_of(file.config.mixture)
    leaves = [form for form in forms_of(PartSettings(parts=dict(tree))) if not form.parts]
    if tree and all(form.templates == "forward" for form in leaves):
        hint = 'leave templates = "forward" out of some part'
        raise ConfigError("no part of the mixture takes inverted templates", where="mixture.parts", hint=hint)
    without: dict[str, object] = {"prompts.include_inverted": False}
    if tree:
        without |= tree_settings(changed(tree, _forward))
    return Study(
        name="inversion",
        question="Does it help with unseen tasks to train on tasks turned around, too?",
        axis="templates trained on",
        arms=(
            Arm(name="forward alone", settings=without),
            Arm(name="forward and inverted", settings={"prompts.include_inverted": True}),
        ),
        baseline="forward alone",
        figure="bars",
        equal="steps, tokens per step, tasks and rows; inverted templates are never measured",
    )


def _forward(part: PartSettings) -> PartSettings | None:
    """A part without its inverted templates; None if it has no others."""
    if part.templates == "inverted":
        return None
    return part.model_copy(update={"templates": "forward"})


STUDY = NamedStudy(
    name="inversion",
    help="Training with and without templates that turn tasks around (Flan Collection, table 1).",
    options=Options,
    make=make,
)
