"""``instances-per-task``: do more rows of each task help with unseen ones? Paper: Wang et al. 2022 (Tk-Instruct)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from flantune.mixture.proportions import parts_of
from flantune.settings.sections import Section
from flantune.settings.setting_types import Once, Positive
from flantune.studies.study import Arm, NamedStudy, Study
from flantune.studies.trees import tree_settings, without_own

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile
    from flantune.types import Task

_CAPS = ("max_examples", "max_rate", "cap", "rates", "temperature")


class Options(Section):
    """Options of the study."""

    counts: Annotated[tuple[Positive, ...], Once, Field(min_length=1)] = (8, 16, 32, 64, 128, 256, 512)
    """Rows of each training task; a task with fewer gives all it has, and a larger arm holds those of the smaller."""


def make(file: RunFile, tasks: Sequence[Task], options: Options) -> Study:  # noqa: ARG001 - the same of any tasks
    """An arm for each number of rows per training task; every task has the same share in all arms."""
    tree = without_own(parts_of(file.config.mixture), _CAPS)
    same: dict[str, object] = {
        "mixture.cap": "rows",
        "mixture.rates": "equal",
        "mixture.temperature": 1.0,
        "mixture.max_epochs": 0.0,
        "mixture.planned_draws": 0,
        **(tree_settings(tree) if tree else {}),
    }
    counts = sorted(options.counts)
    return Study(
        name="instances-per-task",
        question="Do more rows of each training task help with tasks that the model never saw?",
        axis="rows of each training task",
        arms=tuple(
            Arm(name=_name(count), settings={**same, "mixture.max_examples": count}, x=count) for count in counts
        ),
        baseline=_name(counts[0]),
        figure="line",
        x_scale="log",
        equal="steps, tokens per step, tasks and each task's share, so that few rows are repeated more often;"
        " Tk-Instruct's own arms go over their rows twice, so there more rows are more steps, too",
    )


def _name(count: int) -> str:
    return f"{count} {'row' if count == 1 else 'rows'}"


STUDY = NamedStudy(
    name="instances-per-task",
    help="Training on 8 to 512 rows of each task (Tk-Instruct).",
    options=Options,
    make=make,
)
