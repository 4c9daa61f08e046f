"""``tasks-per-cluster``: do more tasks of the same kinds help? Paper: FLAN 2021, appendix B.1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from flantune.errors import ConfigError
from flantune.mixture.taxonomy import load_taxonomy
from flantune.settings.sections import Section
from flantune.settings.setting_types import Names, Once, Positive, Seed
from flantune.studies import paper, splits
from flantune.studies.sides import FINER_CLUSTERS, growing_clusters, split_settings
from flantune.studies.study import Arm, NamedStudy, Study

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile
    from flantune.types import Task


class Options(Section):
    """Options of the study."""

    counts: Annotated[tuple[Positive, ...], Once, Field(min_length=1)] = paper.PER_CLUSTER_COUNTS
    """Numbers of tasks of each cluster; a cluster with fewer gives all it has."""
    order: Names = ()
    """Clusters that are trained on; empty: the paper's seven, as far as the tasks have them."""
    test: Names = ()
    """Clusters that all arms measure; empty: the paper's three, or else what the run file's first fold holds out."""
    seed: Seed = 0
    """Decides which tasks of a cluster come first; a larger arm holds the tasks of the smaller ones."""


def make(file: RunFile, tasks: Sequence[Task], options: Options) -> Study:
    """An arm for each number of tasks per cluster; all measure the same tasks.

    Raises:
        ConfigError: There are too few clusters.
        LeakError: A cluster to train on overlaps with one that is measured.
    """
    rules = load_taxonomy(file.config.holdout.taxonomy)
    order, test, notes = growing_clusters(file, tasks, rules, order=options.order, test=options.test)
    counts = tuple(sorted(options.counts))
    made = splits.tasks_per_cluster(tasks, rules, order=order, test=test, counts=counts, seed=options.seed)
    distinct = {split.train: (count, split) for count, split in reversed(tuple(zip(counts, made.splits, strict=True)))}
    arms = tuple(
        Arm(
            name=f"{count} per cluster",
            settings=split_settings(split, file, tasks),
            x=count,
            label=f"{len(split.train)} tasks",
        )
        for count, split in reversed(distinct.values())
    )
    if len(arms) < 2:
        hint = f"add tasks, or name other clusters: --option 'order=[…]'; {FINER_CLUSTERS}"
        raise ConfigError(f"each of these clusters has one task: {', '.join(order)}", hint=hint)
    left = [str(count) for count in counts if count not in {arm.x for arm in arms}]
    same = (f"no cluster has more tasks for {', '.join(left)} a cluster: left out",) if left else ()
    return Study(
        name="tasks-per-cluster",
        question="Do more tasks of the same kinds in training help with kinds that the model never saw?",
        axis="tasks of each cluster trained on",
        arms=arms,
        baseline=arms[0].name,
        figure="line",
        equal="steps, tokens per step and clusters, so that rows are repeated more often where there are few tasks;"
        " the same tasks are measured throughout",
        notes=(*notes, *made.notes, *same),
    )


STUDY = NamedStudy(
    name="tasks-per-cluster",
    help="Training on 1, 2, 3, 4 tasks of each cluster; the same unseen ones measured (FLAN 2021, B.1).",
    options=Options,
    make=make,
)
