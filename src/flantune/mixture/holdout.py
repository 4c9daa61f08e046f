"""Which tasks are trained on, measured as unseen, or excluded from both. Paper: FLAN 2021, section 2.2."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flantune.errors import ConfigError, LeakError, did_you_mean
from flantune.mixture.taxonomy import Taxonomy, load_taxonomy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flantune.settings.config import HoldoutSettings
    from flantune.types import Task

SAME_CLUSTER = "a task of the same cluster is trained on"
OVERLAPPING = "a task of an overlapping cluster is trained on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """What one model never sees: whole clusters, single tasks, all tasks but one, or nothing.

    Attributes:
        clusters: The held-out clusters; empty if something else is held out.
        tasks: Names of the single tasks.
        alone: Name of the one task that is trained on, and measured as seen.
        is_plain: Nothing is held out, and no benchmark is named: the tasks trained on are measured, as seen.
    """

    clusters: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    alone: str = ""
    is_plain: bool = False

    @property
    def held_out(self) -> tuple[str, ...]:
        """Its names, for reports and its folder.

        >>> Fold(tasks=("rte", "copa")).held_out
        ('task rte', 'task copa')
        >>> Fold(alone="rte").held_out
        ('all but rte',)
        """
        if self.alone:
            return (f"all but {self.alone}",)
        return self.clusters or tuple(f"task {name}" for name in self.tasks)

    @property
    def measures_trained(self) -> bool:
        """Whether its model is to be measured on test rows of the same tasks that it is trained on."""
        return bool(self.alone) or self.is_plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """A task that is neither trained on nor measured as unseen.

    Attributes:
        task: Its name.
        reason: Why, as a sentence for the report.
    """

    task: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldTasks:
    """How a fold divides the tasks of a run: each is in exactly one place.

    Attributes:
        held_out: The held-out clusters, named as the tasks name them.
        train: Tasks to tune on.
        unseen: Tasks to measure: none of their clusters and no kin is in ``train``.
        excluded: The rest, each with the reason.
        tasks: Names of the single tasks held out, instead of clusters.
        breaks: The rules of "unseen" that this fold breaks on purpose: only where single tasks are held out.
        alone: Name of the one task that is trained on and measured, if all others are held out.
        is_plain: Nothing is held out, and the tasks trained on are measured.
    """

    held_out: tuple[str, ...]
    train: tuple[Task, ...]
    unseen: tuple[Task, ...]
    excluded: tuple[Excluded, ...]
    tasks: tuple[str, ...] = ()
    breaks: tuple[str, ...] = ()
    alone: str = ""
    is_plain: bool = False

    @property
    def clusters(self) -> tuple[str, ...]:
        """The clusters that the unseen tasks score: the held-out ones, or those of the single tasks."""
        if not (self.tasks or self.alone):
            return self.held_out
        return tuple(dict.fromkeys(name for task in self.unseen for name in task.clusters))

    @property
    def measured(self) -> tuple[Task, ...]:
        """The tasks that its model is to be measured on: the unseen ones, or those that it is trained on."""
        return self.train if self.measures_trained else self.unseen

    @property
    def measures_trained(self) -> bool:
        """As of the fold."""
        return bool(self.alone) or self.is_plain


def folds_of(settings: HoldoutSettings) -> tuple[Fold, ...]:
    """The folds of a run file: those of clusters first, then those of single tasks, then those of one task alone.

    If only benchmarks will measure the model, there is one fold that holds no task out.
    """
    whole = tuple(Fold(clusters=tuple(clusters)) for clusters in settings.folds)
    found = whole + tuple(Fold(tasks=tuple(names)) for names in settings.task_folds)
    found += tuple(Fold(alone=name) for name in settings.alone)
    return found or ((Fold(),) if settings.benchmarks else ())


def run_folds(settings: HoldoutSettings) -> tuple[Fold, ...]:
    """The folds that a run tunes a model for; if nothing is held out, one model on everything."""
    return folds_of(settings) or (Fold(is_plain=True),)


def hold_out_fold(tasks: Sequence[Task], fold: Fold, *, taxonomy: Taxonomy) -> FoldTasks:
    """One fold's tasks, after making sure that nothing leaks.

    Raises:
        ConfigError: A cluster or task is unknown, or nothing is left to train on or to measure.
        LeakError: A task measured as unseen is trained on, or its kin is.
    """
    if fold.alone:
        return train_alone(tasks, fold.alone)
    if fold.tasks:
        return hold_out_tasks(tasks, fold.tasks, taxonomy=taxonomy)
    if not fold.clusters:
        return replace(hold_nothing_out(tasks), is_plain=fold.is_plain)
    sides = hold_out(tasks, fold.clusters, taxonomy=taxonomy)
    check_unseen(sides.train, sides.unseen, taxonomy=taxonomy)
    return sides


def hold_nothing_out(tasks: Sequence[Task]) -> FoldTasks:
    """A fold that trains on every task that has a train split."""
    excluded = tuple(
        Excluded(task=task.name, reason=reason) for task in tasks if (reason := _lacks_split(task, "train"))
    )
    train = tuple(task for task in tasks if "train" in task.splits)
    return FoldTasks(held_out=(), train=train, unseen=(), excluded=excluded)


def train_alone(tasks: Sequence[Task], name: str) -> FoldTasks:
    """A fold that trains on one task and measures it: finetuning for a single task.

    Raises:
        ConfigError: There is no such task, or it lacks rows to train on or to measure.

    Paper: FLAN 2021, figure 2 (pretrain–finetune).
    """
    check_task_names(tasks, [name], where="holdout.alone")
    (task,) = (one for one in tasks if one.name == name)
    if reason := _lacks_split(task, "train") or _lacks_split(task, "test"):
        hint = "take it out of holdout.alone, or give it the split"
        raise ConfigError(f'"{name}" cannot be tuned and measured alone: {reason}', where="holdout.alone", hint=hint)
    excluded = tuple(
        Excluded(task=one.name, reason=f'"{name}" is trained on alone') for one in tasks if one.name != name
    )
    return FoldTasks(held_out=Fold(alone=name).held_out, train=(task,), unseen=(), excluded=excluded, alone=name)


def hold_out_tasks(tasks: Sequence[Task], names: Sequence[str], *, taxonomy: Taxonomy) -> FoldTasks:
    """Holds single tasks out but trains on other tasks of their clusters, on purpose. Their kin is still excluded.

    This measures how well a model does an unseen task of a kind it has seen, which is easier than a held-out cluster.
    ``breaks`` says which rules of the clusters are broken.

    Raises:
        ConfigError: A task is unknown, or nothing is left to train on or to measure.
        LeakError: Kin of a held-out task is trained on.

    Paper: the public code of FLAN 2021 (its intra-cluster splits, and those that hide SuperGLUE's tasks).
    """
    check_task_names(tasks, names)
    held = Fold(tasks=tuple(names))
    # In separate clusters, no cluster rule applies to them; kin depends on families and names.
    own = {name: f"task {name}" for name in names}
    placed = [replace(task, clusters=(own[task.name],)) if task.name in own else task for task in tasks]
    sides = hold_out(placed, held.held_out, taxonomy=taxonomy)
    check_unseen(sides.train, sides.unseen, taxonomy=taxonomy)
    originals = {task.name: task for task in tasks}
    unseen = tuple(originals[task.name] for task in sides.unseen)
    broken = _broken(sides.train, unseen, taxonomy)
    return replace(sides, held_out=held.held_out, unseen=unseen, tasks=held.tasks, breaks=broken)


def hold_out(tasks: Sequence[Task], clusters: Sequence[str], *, taxonomy: Taxonomy | None = None) -> FoldTasks:
    """Holds clusters out, and excludes from training all tasks that would leak them.

    A task of a held-out cluster is never trained on. It is unseen only if none of its clusters is trained on. Clusters
    that overlap with a held-out one, and tasks of the same or a kin source family as an unseen task, are excluded.
    Every task is in exactly one of ``train``, ``unseen`` and ``excluded``.

    Args:
        tasks: All tasks.
        clusters: The clusters to hold out.
        taxonomy: Overlap rules and kin families; None: those shipped with flantune.

    Raises:
        ConfigError: A cluster has no task, or nothing is left to train on or to measure.

    Paper: FLAN 2021, section 2.2.
    """
    taxonomy = taxonomy or load_taxonomy(None)
    held_out = _known_clusters(tasks, clusters, taxonomy)
    reasons: dict[str, str] = {}
    hidden: list[Task] = []
    rest: list[Task] = []
    for task in tasks:
        is_held = any(taxonomy.cluster(cluster) in held_out for cluster in task.clusters)
        reason = _lacks_split(task, "test" if is_held else "train")
        if not is_held and not reason:
            reason = _overlaps(task, held_out.values(), taxonomy)
        if reason:
            reasons[task.name] = reason
        else:
            (hidden if is_held else rest).append(task)
    train, unseen = _settle(hidden, rest, taxonomy, reasons)
    _check_sides(train, unseen, held_out.values(), reasons)
    excluded = tuple(Excluded(task=task.name, reason=reasons[task.name]) for task in tasks if task.name in reasons)
    return FoldTasks(held_out=tuple(held_out.values()), train=train, unseen=unseen, excluded=excluded)


def check_unseen(train: Iterable[Task], unseen: Iterable[Task], *, taxonomy: Taxonomy) -> None:
    """Makes sure that nothing measured as unseen was trained on: no task, none of its clusters, none of its kin.

    Raises:
        LeakError: Names a trained task, an unseen task, and what connects them.
    """
    trained = tuple(train)
    for task in unseen:
        for other in trained:
            if reason := leak(other, task, taxonomy=taxonomy):
                raise LeakError(
                    f'"{task.name}" is measured as unseen, but "{other.name}" is trained on: {reason}',
                    where=f"{task.name}, {other.name}",
                    hint=f'take "{other.name}" out of training, or do not call "{task.name}" unseen',
                )


def leak(trained: Task, unseen: Task, *, taxonomy: Taxonomy) -> str:
    """Why training on one task means that another is not unseen, or the empty string."""
    if trained.name == unseen.name:
        return "they are the same task"
    for cluster in unseen.clusters:
        for other in trained.clusters:
            if taxonomy.cluster(cluster) == taxonomy.cluster(other):
                return f'both belong to the cluster "{other}"'
            if rule := taxonomy.overlap(evaluating=cluster, training=other):
                return f'measuring "{cluster}" forbids training on "{other}": {rule.because or "they overlap"}'
    return taxonomy.kinship(trained, unseen)


def check_task_names(tasks: Sequence[Task], names: Sequence[str], *, where: str = "holdout.task_folds") -> None:
    """Makes sure that the single tasks of a fold exist.

    Raises:
        ConfigError: One does not, or none is named.
    """
    known = [task.name for task in tasks]
    if not names:
        raise ConfigError("a fold holds out no task", where=where, hint="name tasks of the run file")
    unknown = [f'no task "{name}"; {did_you_mean(name, known)}'.rstrip("; ") for name in names if name not in known]
    if unknown:
        hint = "flantune tasks list RUN_FILE prints the names of the tasks that are there"
        raise ConfigError("\n".join(unknown), where=where, hint=hint)


def check_folds(tasks: Sequence[Task], folds: Sequence[Sequence[str]], *, taxonomy: Taxonomy) -> None:
    """Makes sure that the clusters of all folds exist, and that no two folds hold out the same under different names.

    Raises:
        ConfigError: A cluster does not exist, or a fold occurs twice, so that the mean would count it twice.
    """
    seen: dict[frozenset[str], Sequence[str]] = {}
    for fold in folds:
        held = frozenset(_known_clusters(tasks, fold, taxonomy))
        if held in seen or len(held) < len(fold):
            other = f" and {list(seen[held])}" if held in seen else ""
            message = f"{list(fold)}{other} name the same clusters" + ("" if other else " twice")
            raise ConfigError(message, where="holdout.folds", hint="take one of them out: a mean would count it twice")
        seen[held] = fold


def _broken(train: Iterable[Task], unseen: Iterable[Task], taxonomy: Taxonomy) -> tuple[str, ...]:
    trained = {taxonomy.cluster(cluster) for task in train for cluster in task.clusters}
    measured = {taxonomy.cluster(cluster) for task in unseen for cluster in task.clusters}
    overlap = any(taxonomy.overlap(evaluating=one, training=other) for one in measured for other in trained)
    return ((SAME_CLUSTER,) if trained & measured else ()) + ((OVERLAPPING,) if overlap else ())


def _known_clusters(tasks: Sequence[Task], clusters: Sequence[str], taxonomy: Taxonomy) -> Mapping[str, str]:
    """Canonical name → the name the tasks use, of each cluster to hold out."""
    known = {taxonomy.cluster(cluster): cluster for task in tasks for cluster in task.clusters}
    listing = ", ".join(sorted(known.values()))
    if not clusters:
        raise ConfigError("a fold holds out no cluster", where="holdout.folds", hint=f"the clusters are: {listing}")
    unknown = [cluster for cluster in clusters if taxonomy.cluster(cluster) not in known]
    if unknown:
        lines = [f'no task belongs to the cluster "{name}"; {did_you_mean(name, known.values())}' for name in unknown]
        raise ConfigError(
            "\n".join(line.rstrip("; ") for line in lines), where="holdout.folds", hint=f"the clusters are: {listing}"
        )
    return {taxonomy.cluster(cluster): known[taxonomy.cluster(cluster)] for cluster in clusters}


def _lacks_split(task: Task, role: str) -> str:
    if role in task.splits:
        return ""
    return "it has no test split to be measured on" if role == "test" else "it has no train split to be trained on"


def _overlaps(task: Task, held_out: Iterable[str], taxonomy: Taxonomy) -> str:
    for cluster in held_out:
        for own in task.clusters:
            if rule := taxonomy.overlap(evaluating=cluster, training=own):
                return (
                    f'its cluster "{own}" overlaps with the held-out "{cluster}": {rule.because or "see the taxonomy"}'
                )
    return ""


def _settle(
    hidden: Sequence[Task], rest: Sequence[Task], taxonomy: Taxonomy, reasons: dict[str, str]
) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
    """Training and unseen tasks without leaks, recording why the others are in neither.

    Removing kin from training can free a cluster, which can make another task unseen, whose kin must be removed too.
    This is repeated until nothing changes; it ends because the training side only shrinks.
    """
    train = list(rest)
    while True:
        unseen = [task for task in hidden if not _not_unseen(task, train, taxonomy)]
        kin = {task.name: reason for task in train if (reason := _kin_reason(task, unseen, taxonomy))}
        if not kin:
            break
        reasons.update(kin)
        train = [task for task in train if task.name not in kin]
    for task in hidden:
        if reason := _not_unseen(task, train, taxonomy):
            reasons[task.name] = reason
    return tuple(train), tuple(unseen)


def _not_unseen(task: Task, train: Iterable[Task], taxonomy: Taxonomy) -> str:
    """Why a task of a held-out cluster is still not unseen, because of another of its clusters; or the empty string."""
    trained = {taxonomy.cluster(cluster): cluster for other in train for cluster in other.clusters}
    for cluster in task.clusters:
        if taxonomy.cluster(cluster) in trained:
            return f'it also belongs to the cluster "{cluster}", which is trained on'
        for other in sorted(trained.values()):
            if taxonomy.overlap(evaluating=cluster, training=other):
                return f'it also belongs to the cluster "{cluster}", which overlaps with "{other}", which is trained on'
    return ""


def _kin_reason(task: Task, unseen: Iterable[Task], taxonomy: Taxonomy) -> str:
    for other in unseen:
        if reason := taxonomy.kinship(other, task):
            return f'it is kin to the unseen "{other.name}": {reason}'
    return ""


def _check_sides(
    train: Sequence[Task], unseen: Sequence[Task], held_out: Iterable[str], reasons: Mapping[str, str]
) -> None:
    names = " + ".join(held_out)
    notes = "; ".join(f"{task}: {reason}" for task, reason in list(reasons.items())[:5])
    if not train:
        raise ConfigError(
            f'no task is left to train on when "{names}" is held out',
            where="holdout.folds",
            hint=f"hold out less, or add tasks of other clusters ({notes or 'every task is held out'})",
        )
    if not unseen:
        raise ConfigError(
            f'no task of "{names}" can be measured as unseen',
            where="holdout.folds",
            hint=f"hold out the other clusters of these tasks as well ({notes})",
        )
