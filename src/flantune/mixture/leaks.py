"""Explains, before training, why each task is trained on, unseen or excluded, and which tasks are kin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from flantune.mixture.benchmarks import without_benchmarks
from flantune.mixture.holdout import Fold, hold_out_fold, leak
from flantune.mixture.taxonomy import Taxonomy, plain_name
from flantune.tasks.same_data import data_keys, same_source

if TYPE_CHECKING:
    from flantune.types import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A reason why one task would leak another.

    Attributes:
        task: The other task.
        because: Why, in words for a report.
    """

    task: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedExclusion:
    """A task that is neither trained on nor measured.

    Attributes:
        task: Its name.
        reason: The decisive reason.
        connections: Every unseen task that it would leak if it were trained on.
    """

    task: str
    clusters: tuple[str, ...]
    reason: str
    connections: tuple[Connection, ...]

    def given_away(self) -> dict[str, tuple[str, ...]]:
        """Reason → the unseen tasks that it would leak."""
        found: dict[str, tuple[str, ...]] = {}
        for one in self.connections:
            found[one.because] = (*found.get(one.because, ()), one.task)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldLeaks:
    """One fold, explained.

    Attributes:
        held_out: The held-out clusters.
        train: Names of the tasks trained on.
        unseen: Names of the tasks measured as unseen.
        excluded: The rest.
        breaks: The rules that the fold breaks on purpose, if single tasks are held out.
    """

    held_out: tuple[str, ...]
    train: tuple[str, ...]
    unseen: tuple[str, ...]
    excluded: tuple[ExplainedExclusion, ...]
    breaks: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The fold as JSON-able values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class KinGroup:
    """Tasks made from the same texts, or one from the other.

    Attributes:
        name: What they have in common.
        tasks: Their names, in the order given.
        because: Why the taxonomy says so.
    """

    name: str
    tasks: tuple[str, ...]
    because: str


def explain_fold(
    tasks: Sequence[Task], fold: Fold | Sequence[str], *, taxonomy: Taxonomy, benchmarks: Sequence[str] = ()
) -> FoldLeaks:
    """Which tasks are trained on, unseen and excluded in a fold, with every connection behind it.

    Args:
        tasks: All tasks.
        fold: What is held out; a plain sequence names clusters.
        taxonomy: Overlap rules and kin families.
        benchmarks: Benchmarks of which nothing is trained on.

    Raises:
        ConfigError: A cluster has no task, a task is unknown, or nothing is left to train on or to measure.
    """
    held = fold if isinstance(fold, Fold) else Fold(clusters=tuple(fold))
    sides = without_benchmarks(hold_out_fold(tasks, held, taxonomy=taxonomy), benchmarks, taxonomy=taxonomy)
    named = {task.name: task for task in tasks}
    excluded = tuple(
        ExplainedExclusion(
            task=one.task,
            clusters=named[one.task].clusters,
            reason=one.reason,
            connections=_connections(named[one.task], sides.unseen, taxonomy, kin_alone=bool(held.tasks)),
        )
        for one in sides.excluded
    )
    return FoldLeaks(
        held_out=sides.held_out,
        train=tuple(task.name for task in sides.train),
        unseen=tuple(task.name for task in sides.unseen),
        excluded=excluded,
        breaks=sides.breaks,
    )


def kin_groups(tasks: Sequence[Task], taxonomy: Taxonomy) -> tuple[KinGroup, ...]:
    """The kin among some tasks: by the taxonomy's groups, then by source family. Groups of one task are left out."""
    groups = []
    for kin in taxonomy.kin:
        members = [task for task in tasks if {plain_name(task.source_family), plain_name(task.name)} & kin.members]
        groups.append(KinGroup(name=kin.name, tasks=_named(members), because=kin.because))
    families: dict[str, list[Task]] = {}
    for task in tasks:
        families.setdefault(plain_name(task.source_family), []).append(task)
    for family, members in families.items():
        if family and not any(set(_named(members)) <= set(group.tasks) for group in groups):
            groups.append(KinGroup(name=family, tasks=_named(members), because="they come from one source family"))
    groups += [one for one in _of_same_data(tasks) if not any(set(one.tasks) <= set(group.tasks) for group in groups)]
    return tuple(group for group in groups if len(group.tasks) > 1)


def _of_same_data(tasks: Sequence[Task]) -> Iterator[KinGroup]:
    """Tasks that read the same files or hub dataset, regardless of declared kin."""
    readers: dict[str, list[Task]] = {}
    for task in tasks:
        for key in data_keys(task.source):
            readers.setdefault(key, []).append(task)
    candidates = {task.name: task for each in readers.values() if len(each) > 1 for task in each}
    left = list(candidates.values())
    while left:
        first, *others = left
        found = {task.name: reason for task in others if (reason := same_source(first.source, task.source))}
        if found:
            name = "the same data"
            yield KinGroup(name=name, tasks=(first.name, *found), because=next(iter(found.values())))
        left = [task for task in others if task.name not in found]


def _connections(task: Task, unseen: Sequence[Task], taxonomy: Taxonomy, *, kin_alone: bool) -> tuple[Connection, ...]:
    """Why a task leaks unseen ones; if single tasks are held out, clusters do not count."""
    why = taxonomy.kinship if kin_alone else lambda one, other: leak(one, other, taxonomy=taxonomy)
    found = ((other.name, why(task, other)) for other in unseen)
    return tuple(Connection(task=name, because=reason) for name, reason in found if reason)


def _named(tasks: Sequence[Task]) -> tuple[str, ...]:
    return tuple(task.name for task in tasks)
