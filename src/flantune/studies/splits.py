"""The splits of the FLAN paper and its public code: which tasks are trained on and measured, as pure functions.

Each kind is a tuple of splits. A split only has names; ``flantune.studies.split_files`` turns it into a run file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flantune.errors import ConfigError, LeakError, did_you_mean
from flantune.mixture.holdout import Fold, FoldTasks, check_unseen, hold_out, hold_out_fold, hold_out_tasks
from flantune.mixture.permutation import permute
from flantune.mixture.taxonomy import Taxonomy, plain_name
from flantune.studies.paper import (
    PAPER_ORDER,
    PAPER_TEST,
    PER_CLUSTER_COUNTS,
    TASK_COUNTS,
    TEMPLATE_COUNTS,
    WITHIN_CLUSTER_SPLITS,
)
from flantune.system.files import slug
from flantune.system.keyed_random import stream_key

if TYPE_CHECKING:
    from flantune.types import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One experiment: the tasks trained on and measured.

    Attributes:
        name: Unique within the study, and valid as a file name.
        train: Names of the tasks tuned on.
        held_out: The held-out clusters; empty if single tasks are held out.
        test: Names of the tasks measured as unseen.
        max_templates: Templates of each task trained on; 0 means all.
        hidden: Names of the single tasks held out without their clusters.
        breaks: The rules of "unseen" that this split breaks on purpose; empty for most.
    """

    name: str
    train: tuple[str, ...]
    held_out: tuple[str, ...]
    test: tuple[str, ...]
    max_templates: int = 0
    hidden: tuple[str, ...] = ()
    breaks: tuple[str, ...] = ()

    @property
    def fold(self) -> Fold:
        """What a run file must hold out for this split."""
        return Fold(tasks=self.hidden) if self.hidden else Fold(clusters=self.held_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSet:
    """The splits of a study, and notes on what was not possible.

    Attributes:
        kind: The study.
        splits: The splits, in the study's order.
        notes: Sentences on what the tasks do not allow.
    """

    kind: str
    splits: tuple[Split, ...]
    notes: tuple[str, ...] = ()


def leave_one_cluster_out(tasks: Sequence[Task], taxonomy: Taxonomy) -> SplitSet:
    """One split per cluster: it is measured, and all tasks that do not leak it are trained on.

    Paper: FLAN 2021, section 2.2: to evaluate on c clusters, c models are tuned.
    """
    splits, notes = [], []
    for cluster in _clusters(tasks, taxonomy).values():
        try:
            splits.append(without_clusters(tasks, taxonomy, [cluster]))
        except ConfigError as error:
            notes.append(f'"{cluster}" cannot be left out: {error.message}')
    return SplitSet(kind="leave-one-cluster-out", splits=tuple(splits), notes=tuple(notes))


def without_clusters(tasks: Sequence[Task], taxonomy: Taxonomy, clusters: Sequence[str]) -> Split:
    """The split that holds some clusters out; tasks that would leak them are not trained on.

    Raises:
        ConfigError: A cluster is unknown, or one side would be empty.
    """
    held = hold_out(tasks, [_known(cluster, tasks, taxonomy) for cluster in clusters], taxonomy=taxonomy)
    return _checked(_split(f"without-{slug(*held.held_out)}", held), tasks, taxonomy)


def without_tasks(tasks: Sequence[Task], taxonomy: Taxonomy, names: Sequence[str], *, name: str = "hidden") -> Split:
    """The split that holds single tasks out but trains on others of their clusters, on purpose. Kin is excluded.

    Paper: the public code of FLAN 2021 hides SuperGLUE's eight tasks this way.

    Raises:
        ConfigError: None of the tasks exists, or one side would be empty.
    """
    present = [task.name for task in tasks if task.name in names]
    if not present:
        raise ConfigError(f"none of these tasks is there: {', '.join(names)}", hint="name tasks of the run file")
    return _hide(tasks, taxonomy, present, name=f"without-{slug(name)}")


def within_cluster(
    tasks: Sequence[Task], taxonomy: Taxonomy, *, splits: int = WITHIN_CLUSTER_SPLITS, seed: int = 0
) -> SplitSet:
    """Splits that hide one task of each cluster and train on the rest of the cluster.

    Tasks of one source family (SQuAD 1 and 2, ANLI's rounds) are hidden or shown together. Each cluster cycles through
    its families in an order seeded with its name. A cluster with one family is never hidden: nothing of it would be
    left.

    Paper: the public code of FLAN 2021 (ten intra-cluster splits).
    """
    families = _families(tasks, taxonomy)
    notes = [f'"{name}" is never hidden: it has one source family' for name, own in families.items() if len(own) < 2]
    shown = {name: own for name, own in families.items() if len(own) > 1}
    if not shown:
        raise ConfigError("no cluster has two source families, so none can be split", hint="add tasks")
    made = []
    for number in range(splits):
        hidden = [
            task
            for cluster, own in shown.items()
            for task in own[permute(number % len(own), len(own), stream_key(seed, "within", plain_name(cluster)))]
        ]
        made.append(_hide(tasks, taxonomy, hidden, name=f"within-clusters-{number + 1}"))
    return SplitSet(kind="within-cluster", splits=tuple(made), notes=tuple(notes))


def cluster_counts(
    tasks: Sequence[Task],
    taxonomy: Taxonomy,
    *,
    order: Sequence[str] = PAPER_ORDER,
    test: Sequence[str] = PAPER_TEST,
    max_tasks: int = 0,
    seed: int = 0,
) -> SplitSet:
    """Training on one cluster, two clusters, … in the paper's order; the test clusters are the same throughout.

    A test task that is kin of any cluster in the order is removed from the test, not from training. So each split has
    all training tasks of its clusters, and all are measured on the same tasks.

    Args:
        tasks: The tasks.
        taxonomy: Overlap rules and kin families.
        order: Clusters in the order in which they are added.
        test: Clusters that are measured.
        max_tasks: At most this many training tasks, drawn from the clusters in turn; 0 means all.
        seed: Determines which tasks.

    Raises:
        ConfigError: A cluster has no task.
        LeakError: A cluster of the order overlaps with a test cluster.

    Paper: FLAN 2021, section 4.1 (figure 6).
    """
    groups, measured, notes = _fixed_test(tasks, taxonomy, order=order, test=test)
    limit = f"-{max_tasks}-tasks" if max_tasks else ""
    made = []
    for count in range(1, len(groups) + 1):
        train = round_robin([ranked(group, seed=seed) for group in groups[:count]], limit=max_tasks or len(tasks))
        name = f"{count}-{'cluster' if count == 1 else 'clusters'}{limit}"
        made.append(_between(tasks, taxonomy, train, measured, test=test, name=name))
    return SplitSet(kind="clusters", splits=tuple(made), notes=notes)


def tasks_per_cluster(
    tasks: Sequence[Task],
    taxonomy: Taxonomy,
    *,
    order: Sequence[str] = PAPER_ORDER,
    test: Sequence[str] = PAPER_TEST,
    counts: Sequence[int] = PER_CLUSTER_COUNTS,
    seed: int = 0,
) -> SplitSet:
    """Training on one task of each cluster, two tasks, …; each split includes the tasks of the previous one.

    Paper: FLAN 2021, appendix B.1.

    Raises:
        ConfigError: A cluster has no task.
        LeakError: A cluster of the order overlaps with a test cluster.
    """
    groups, measured, notes = _fixed_test(tasks, taxonomy, order=order, test=test)
    short = [f"{len(group)} of {group[0].clusters[0]}" for group in groups if len(group) < max(counts)]
    if short:
        notes = (*notes, f"some clusters have fewer than {max(counts)} tasks: {', '.join(short)}")
    made = []
    for count in counts:
        train = [task for group in groups for task in ranked(group, seed=seed)[:count]]
        made.append(_between(tasks, taxonomy, train, measured, test=test, name=f"{count}-per-cluster"))
    return SplitSet(kind="tasks-per-cluster", splits=tuple(made), notes=notes)


def template_counts(base: Split, tasks: Sequence[Task], *, counts: Sequence[int] = TEMPLATE_COUNTS) -> SplitSet:
    """One split with different numbers of templates per training task; the measured templates are unchanged.

    Paper: FLAN 2021, appendix B (1, 4, 10); the public code has 1, 2, 4, 7, 10.
    """
    most = max(len(task.templates) for task in tasks if task.name in base.train)
    made = tuple(
        replace(base, name=f"{base.name}-{count}-{'template' if count == 1 else 'templates'}", max_templates=count)
        for count in counts
        if count <= most
    )
    left = [str(count) for count in counts if count > most]
    notes = (f"no training task has more than {most} templates: left out {', '.join(left)}",) if left else ()
    return SplitSet(kind="templates", splits=made, notes=notes)


def task_counts(
    base: Split, tasks: Sequence[Task], taxonomy: Taxonomy, *, counts: Sequence[int] = TASK_COUNTS, seed: int = 0
) -> SplitSet:
    """One split with growing numbers of training tasks; each includes the tasks of the smaller ones.

    Paper: the public code of FLAN 2021 (5, 10, …, 55 training tasks).
    """
    order = ranked([task for task in tasks if task.name in base.train], seed=seed)
    made = []
    for count in counts:
        if count > len(order):
            continue
        chosen = {task.name for task in order[:count]}
        train = tuple(name for name in base.train if name in chosen)
        made.append(trained_on(base, train, tasks, taxonomy, name=f"{base.name}-{count}-tasks"))
    left = [str(count) for count in counts if count > len(order)]
    notes = (f"there are {len(order)} training tasks: left out {', '.join(left)}",) if left else ()
    return SplitSet(kind="training-tasks", splits=tuple(made), notes=notes)


def trained_on(base: Split, train: Sequence[str], tasks: Sequence[Task], taxonomy: Taxonomy, *, name: str) -> Split:
    """The split with some of another's training tasks and the same measured tasks."""
    return _checked(replace(base, name=name, train=tuple(train)), tasks, taxonomy)


def paper_rules(taxonomy: Taxonomy) -> Taxonomy:
    """The taxonomy without kin between source families: the paper's own definition of unseen."""
    return replace(taxonomy, kin=())


def ranked(tasks: Iterable[Task], *, seed: int) -> list[Task]:
    """The tasks in a seeded order that depends only on their names: an additional task does not reorder others."""
    return sorted(tasks, key=lambda task: (stream_key(seed, "studies", task.name), task.name))


def round_robin(groups: Sequence[Sequence[Task]], *, limit: int) -> list[Task]:
    """The first of each group, then the second of each, … until there are ``limit``."""
    longest = max((len(group) for group in groups), default=0)
    turns = [group[place] for place in range(longest) for group in groups if place < len(group)]
    return turns[:limit]


def tasks_in(split: Split, tasks: Sequence[Task]) -> tuple[Task, ...]:
    """The tasks of a split, in the order given."""
    names = {*split.train, *split.test}
    return tuple(task for task in tasks if task.name in names)


def _split(name: str, held: FoldTasks) -> Split:
    train, test = (tuple(task.name for task in side) for side in (held.train, held.unseen))
    return Split(name=name, train=train, held_out=held.held_out, test=test)


def _checked(split: Split, tasks: Sequence[Task], taxonomy: Taxonomy) -> Split:
    """The split, after making sure that nothing leaks and that a run would have exactly these two sides."""
    own = tasks_in(split, tasks)
    if not split.hidden:
        train, test = ([task for task in own if task.name in side] for side in (split.train, split.test))
        check_unseen(train, test, taxonomy=taxonomy)
    run = hold_out_fold(own, split.fold, taxonomy=taxonomy)
    if {task.name for task in run.train} != set(split.train) or run.excluded:
        lost = "; ".join(f"{one.task}: {one.reason}" for one in run.excluded)
        raise LeakError(f"a run would not keep this split's tasks: {lost}", where=split.name)
    return split


def _hide(tasks: Sequence[Task], taxonomy: Taxonomy, names: Sequence[str], *, name: str) -> Split:
    """The split that holds out single tasks."""
    held = hold_out_tasks(tasks, names, taxonomy=taxonomy)
    split = _split(name, held)
    return _checked(replace(split, held_out=(), hidden=split.test, breaks=held.breaks), tasks, taxonomy)


def _fixed_test(
    tasks: Sequence[Task], taxonomy: Taxonomy, *, order: Sequence[str], test: Sequence[str]
) -> tuple[list[list[Task]], list[Task], tuple[str, ...]]:
    """The clusters to train on, the tasks that every split measures, and those removed from the test."""
    groups = _apart([_members(cluster, tasks, taxonomy=taxonomy, role="train") for cluster in order])
    trained = [task for group in groups for task in group]
    asked = _apart([_members(cluster, tasks, taxonomy=taxonomy, role="test") for cluster in test])
    measured, left = [], []
    for task in (task for group in asked for task in group):
        kin = next((other for other in trained if taxonomy.kinship(other, task)), None)
        if kin is None:
            measured.append(task)
        else:
            left.append(f"{task.name} (kin to {kin.name})")
    if not measured:
        raise ConfigError(f"no task is left to measure: {', '.join(left)}", hint="test other clusters")
    notes = (f"not measured, since their kin is trained on: {', '.join(left)}",) if left else ()
    return groups, measured, notes


def _apart(groups: Sequence[Sequence[Task]]) -> list[list[Task]]:
    """The groups with each task only in its first group; empty groups are dropped."""
    seen: set[str] = set()
    apart = []
    for group in groups:
        apart.append([task for task in group if task.name not in seen])
        seen |= {task.name for task in group}
    return [group for group in apart if group]


def _between(
    tasks: Sequence[Task],
    taxonomy: Taxonomy,
    train: Sequence[Task],
    measured: Sequence[Task],
    *,
    test: Sequence[str],
    name: str,
) -> Split:
    sides = [{task.name for task in side} for side in (train, measured)]
    trained, unseen = (tuple(task.name for task in tasks if task.name in side) for side in sides)
    held = {_known(cluster, measured, taxonomy): None for cluster in test if _has(cluster, measured, taxonomy)}
    return _checked(Split(name=name, train=trained, held_out=tuple(held), test=unseen), tasks, taxonomy)


def cluster_names(tasks: Sequence[Task], taxonomy: Taxonomy) -> tuple[str, ...]:
    """The clusters of tasks by the tasks' own names, each once, in order of appearance."""
    return tuple(_clusters(tasks, taxonomy).values())


def _clusters(tasks: Sequence[Task], taxonomy: Taxonomy) -> dict[str, str]:
    """Canonical name → the tasks' own name of each cluster, in order of appearance."""
    found: dict[str, str] = {}
    for task in tasks:
        for cluster in task.clusters:
            found.setdefault(taxonomy.cluster(cluster), cluster)
    return found


def _has(cluster: str, tasks: Sequence[Task], taxonomy: Taxonomy) -> bool:
    return taxonomy.cluster(cluster) in _clusters(tasks, taxonomy)


def _known(cluster: str, tasks: Sequence[Task], taxonomy: Taxonomy) -> str:
    clusters = _clusters(tasks, taxonomy)
    if taxonomy.cluster(cluster) not in clusters:
        near = did_you_mean(cluster, clusters.values())
        finer = 'data.clusters = "flan2021_clusters17" has finer ones'
        hint = near or f"the clusters are: {', '.join(clusters.values())}; {finer}"
        raise ConfigError(f'no task belongs to the cluster "{cluster}"', hint=hint)
    return clusters[taxonomy.cluster(cluster)]


def _members(cluster: str, tasks: Sequence[Task], *, taxonomy: Taxonomy, role: str) -> list[Task]:
    """The tasks of a cluster that have the split; an error if there are none."""
    name = taxonomy.cluster(_known(cluster, tasks, taxonomy))
    found = [task for task in tasks if role in task.splits and name in map(taxonomy.cluster, task.clusters)]
    if not found:
        raise ConfigError(f'no task of the cluster "{cluster}" has a {role} split')
    return found


def _families(tasks: Sequence[Task], taxonomy: Taxonomy) -> dict[str, list[list[str]]]:
    """Cluster → its source families with a test split, each as the names of its tasks; a task counts in its first."""
    found: dict[str, dict[str, list[Task]]] = {name: {} for name in _clusters(tasks, taxonomy).values()}
    names = _clusters(tasks, taxonomy)
    for task in tasks:
        cluster = names[taxonomy.cluster(task.clusters[0])]
        found[cluster].setdefault(plain_name(task.source_family or task.name), []).append(task)
    measurable = {
        cluster: [group for group in own.values() if any("test" in task.splits for task in group)]
        for cluster, own in found.items()
    }
    return {cluster: [[task.name for task in group] for group in own] for cluster, own in measurable.items() if own}
