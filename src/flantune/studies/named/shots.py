"""``shots``: do solved examples help, and must they be trained with? Paper: FLAN 2021, section 4.4, figure 9."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from flantune.mixture.proportions import parts_of
from flantune.settings.sections import Section
from flantune.settings.setting_types import Natural, Once, Positive
from flantune.studies.sides import measured_with_exemplars
from flantune.studies.study import Arm, NamedStudy, Reads, Study
from flantune.studies.trees import shots_settings

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile
    from flantune.types import Task

BASE, NONE, HALF = "not tuned", "trained without exemplars", "half trained with exemplars"


class Options(Section):
    """Options of the study."""

    counts: Annotated[tuple[Natural, ...], Once, Field(min_length=1)] = (0, 1, 2, 3, 5)
    """Exemplars before each question when measuring; those that do not fit the input are left out."""
    train: Annotated[tuple[Positive, ...], Once, Field(min_length=1)] = (2, 3, 5)
    """Exemplars before half of the training prompts, in the arms that are trained with some."""


def make(file: RunFile, tasks: Sequence[Task], options: Options) -> Study:
    """Three models (not tuned, tuned without and with exemplars), each measured with every number of exemplars.

    Raises:
        ConfigError: No unseen task can be shown exemplars.
    """
    tree = parts_of(file.config.mixture)
    measure, notes = measured_with_exemplars(file, tasks)
    without, half = (shots_settings(tree, share, options.train) for share in (0.0, 0.5))
    models: tuple[tuple[str, dict[str, object], Reads], ...] = (
        (BASE, without, "base"),
        (NONE, without, "tuned"),
        (HALF, half, "tuned"),
    )
    counts = sorted(options.counts)
    return Study(
        name="shots",
        question="Do exemplars before a question help, and does a model have to be trained with them?",
        axis="exemplars before each question",
        arms=tuple(
            Arm(
                name=f"{series}, {count} shown",
                settings={**settings, "evaluation.shots": [count]},
                x=count,
                series=series,
                reads=reads,
                label=str(count),
            )
            for series, settings, reads in models
            for count in counts
        ),
        baseline=str(counts[0]),
        measure=measure,
        figure="line",
        equal="steps, tokens per step, tasks and rows; prompts with exemplars are longer, so a step holds fewer",
        notes=(
            "The exemplars come from the measured task's own training rows, as in the paper: with them the task is"
            " unseen in training alone.",
            *notes,
        ),
    )


STUDY = NamedStudy(
    name="shots",
    help="Measured with 0, 1, 2, … exemplars; trained without and with them (FLAN 2021, 4.4).",
    options=Options,
    make=make,
)
