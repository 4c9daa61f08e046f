"""``leave-one-cluster-out``: the main result, over every cluster. Paper: FLAN 2021, section 2.2 and figure 5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flantune.errors import ConfigError
from flantune.mixture.taxonomy import load_taxonomy
from flantune.settings.sections import Section
from flantune.settings.setting_types import Names
from flantune.studies import splits
from flantune.studies.study import Arm, NamedStudy, Study

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile
    from flantune.types import Task


class Options(Section):
    """Options of the study."""

    clusters: Names = ()
    """Only these clusters are left out, one at a time; empty: every cluster of the tasks."""


def make(file: RunFile, tasks: Sequence[Task], options: Options) -> Study:
    """An arm for each cluster: it is measured, and all tasks that do not leak it are trained on.

    Raises:
        ConfigError: A cluster is unknown, or none can be left out.
    """
    taxonomy = load_taxonomy(file.config.holdout.taxonomy)
    if options.clusters:
        made = splits.SplitSet(
            kind="", splits=tuple(splits.without_clusters(tasks, taxonomy, [name]) for name in options.clusters)
        )
    else:
        made = splits.leave_one_cluster_out(tasks, taxonomy)
    if not made.splits:
        raise ConfigError("no cluster can be left out", hint="; ".join(made.notes))
    return Study(
        name="leave-one-cluster-out",
        question="Does tuning on all other kinds of task help with a kind that the model never saw?",
        axis="cluster left out",
        arms=tuple(
            Arm(
                name=", ".join(split.held_out),
                settings={"holdout.folds": [list(split.held_out)], "holdout.task_folds": []},
            )
            for split in made.splits
        ),
        figure="forest",
        equal="steps and tokens per step; each model is trained on all clusters that do not give its own away",
        notes=made.notes,
    )


STUDY = NamedStudy(
    name="leave-one-cluster-out",
    help="Every cluster left out in turn: tuned against base on it (FLAN 2021, 2.2).",
    options=Options,
    make=make,
)
