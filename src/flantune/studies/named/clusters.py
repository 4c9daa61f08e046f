"""``clusters``: do more kinds of task in training help with unseen kinds? Paper: FLAN 2021, section 4.1, figure 6."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flantune.mixture.taxonomy import load_taxonomy
from flantune.settings.sections import Section
from flantune.settings.setting_types import Names, Natural, Seed
from flantune.studies import splits
from flantune.studies.sides import growing_clusters, split_settings
from flantune.studies.study import Arm, NamedStudy, Study

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile
    from flantune.types import Task


class Options(Section):
    """Options of the study."""

    order: Names = ()
    """Clusters in the order in which they are added; empty: the paper's seven, as far as the tasks have them."""
    test: Names = ()
    """Clusters that all arms measure; empty: the paper's three, or else what the run file's first fold holds out."""
    most_tasks: Natural = 0
    """At most this many training tasks an arm, taken from the clusters in turn; 0: all. The paper's code: 15."""
    seed: Seed = 0
    """Decides which tasks of a cluster come first."""


def make(file: RunFile, tasks: Sequence[Task], options: Options) -> Study:
    """An arm for the first cluster, for the first two, and so on; all measure the same tasks.

    Raises:
        ConfigError: There are too few clusters.
        LeakError: A cluster to train on overlaps with one that is measured.
    """
    rules = load_taxonomy(file.config.holdout.taxonomy)
    order, test, notes = growing_clusters(file, tasks, rules, order=options.order, test=options.test)
    made = splits.cluster_counts(tasks, rules, order=order, test=test, max_tasks=options.most_tasks, seed=options.seed)
    arms = tuple(
        Arm(
            name=f"{count} {'cluster' if count == 1 else 'clusters'}",
            settings=split_settings(split, file, tasks),
            x=count,
            label=f"+ {added}" if count > 1 else added,
        )
        for count, (split, added) in enumerate(zip(made.splits, order, strict=True), start=1)
    )
    return Study(
        name="clusters",
        question="Do more kinds of task in training help with kinds that the model never saw?",
        axis="clusters trained on",
        arms=arms,
        baseline=arms[0].name,
        figure="line",
        equal="steps and tokens per step, so that rows are repeated more often where there are few clusters; the same"
        " tasks are measured throughout",
        notes=(*notes, *made.notes),
    )


STUDY = NamedStudy(
    name="clusters",
    help="Training on one cluster, two, … in the paper's order; the same unseen ones measured (FLAN 2021, 4.1).",
    options=Options,
    make=make,
)
