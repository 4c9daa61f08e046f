"""``shot-share``: how many training prompts should have exemplars? Paper: the Flan Collection, section 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from flantune.mixture.proportions import parts_of
from flantune.settings.sections import Section
from flantune.settings.setting_types import Natural, Once, Positive, Share
from flantune.studies.sides import measured_with_exemplars
from flantune.studies.study import Arm, NamedStudy, Study
from flantune.studies.trees import shots_settings

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile
    from flantune.types import Task


class Options(Section):
    """Options of the study."""

    shares: Annotated[tuple[Share, ...], Once, Field(min_length=1)] = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
    """Shares of the training prompts that have exemplars."""
    train: Annotated[tuple[Positive, ...], Once, Field(min_length=1)] = (2, 3, 5)
    """How many such a training prompt has; one of these numbers is drawn."""
    measure: Annotated[tuple[Natural, ...], Once, Field(min_length=1)] = (0, 5)
    """Exemplars before each question when measuring."""


def make(file: RunFile, tasks: Sequence[Task], options: Options) -> Study:
    """An arm for each share and each way to measure; those of one share have one tuned model.

    Raises:
        ConfigError: No unseen task can be shown exemplars.
    """
    tree = parts_of(file.config.mixture)
    measure, notes = measured_with_exemplars(file, tasks)
    shares = sorted(options.shares)
    return Study(
        name="shot-share",
        question="What share of the training prompts should have exemplars?",
        axis="share of training prompts with exemplars, in percent",
        arms=tuple(
            Arm(
                name=f"{100 * share:g}% with exemplars, measured with {count}",
                settings={**shots_settings(tree, share, options.train), "evaluation.shots": [count]},
                x=100 * share,
                series=f"measured with {count}",
                label=f"{100 * share:g}%",
            )
            for count in options.measure
            for share in shares
        ),
        baseline=f"{100 * shares[0]:g}%",
        measure=measure,
        figure="line",
        equal="steps, tokens per step, tasks and rows; prompts with exemplars are longer, so a step holds fewer",
        notes=notes,
    )


STUDY = NamedStudy(
    name="shot-share",
    help="0% to 100% of training prompts with exemplars; measured without and with (Flan Collection, 3).",
    options=Options,
    make=make,
)
