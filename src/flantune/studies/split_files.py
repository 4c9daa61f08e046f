"""Splits as run files: each can be run, read and changed like any run file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.errors import ConfigError, did_you_mean
from flantune.mixture.taxonomy import Taxonomy, load_taxonomy
from flantune.settings.run_file import to_toml, with_settings
from flantune.settings.toml_file import toml_text
from flantune.studies import paper, splits
from flantune.studies.sides import split_settings
from flantune.studies.splits import Split, SplitSet
from flantune.system.files import write_text
from flantune.tasks.load import load_tasks
from flantune.tasks.regroup import load_grouping, regroup

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile
    from flantune.types import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """Options of a study.

    Attributes:
        clusters: A grouping that replaces the tasks' own clusters: a shipped one's name or a TOML file; empty: none.
        paper_rules: Follow only the overlap rules; kin source families do not count.
        order: Clusters in the order in which they are added.
        test: Clusters that are measured.
        hide_super_glue: Measure SuperGLUE's tasks, as the public code does, instead of whole clusters (studies of
            templates and of the number of training tasks).
        max_tasks: At most this many training tasks in the study of clusters; 0 means all.
        counts: The numbers to try; empty: the paper's.
        seed: Seed of every choice.
    """

    clusters: str = ""
    paper_rules: bool = False
    order: tuple[str, ...] = paper.PAPER_ORDER
    test: tuple[str, ...] = paper.PAPER_TEST
    hide_super_glue: bool = False
    max_tasks: int = 0
    counts: tuple[int, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSplits:
    """A study of a run file's tasks.

    Attributes:
        study: The splits.
        tasks: The tasks, in the clusters that the splits use.
        originals: The same tasks as in the run file.
        clusters: The grouping of the tasks, as in ``data.clusters``; empty: the run file's own.
        taxonomy: The rules the splits follow.
        has_own_rules: The rules differ from the run file's, so the written run files must include them.
    """

    study: SplitSet
    tasks: tuple[Task, ...]
    originals: tuple[Task, ...]
    clusters: str
    taxonomy: Taxonomy
    has_own_rules: bool = False


def plan_splits(file: RunFile, *, kind: str, options: SplitOptions | None = None) -> PlannedSplits:
    """A study of the tasks that a run file names; the file's folds are ignored.

    Raises:
        ConfigError: There is no such study, or the tasks do not allow it.
    """
    options = options or SplitOptions()
    if kind not in MAKERS:
        raise ConfigError(f'no study "{kind}"', hint=did_you_mean(kind, MAKERS) or f"available: {', '.join(MAKERS)}")
    originals = load_tasks(file.config.data, root=file.root)
    taxonomy = load_taxonomy(file.config.holdout.taxonomy)
    rules = splits.paper_rules(taxonomy) if options.paper_rules else taxonomy
    tasks = regroup(originals, load_grouping(options.clusters)) if options.clusters else originals
    study = MAKERS[kind](tasks, rules, options)
    lost = sorted({task.name for task in originals} - {task.name for task in tasks})
    if lost:
        note = f"in no cluster of {options.clusters}, so in no split: {', '.join(lost)}"
        study = SplitSet(kind=study.kind, splits=study.splits, notes=(note, *study.notes))
    if not study.splits:
        raise ConfigError("the tasks allow no split of this kind", hint="; ".join(study.notes))
    return PlannedSplits(
        study=study,
        tasks=tasks,
        originals=originals,
        clusters=_absolute(options.clusters, Path.cwd()) or _absolute(file.config.data.clusters, file.root),
        taxonomy=rules,
        has_own_rules=options.paper_rules,
    )


def _absolute(clusters: str, root: Path) -> str:
    """A grouping's name unchanged, its file as an absolute path, since run files are written to another folder."""
    return str((root / clusters).absolute()) if clusters.endswith(".toml") else clusters


Maker = Callable[[Sequence["Task"], Taxonomy, SplitOptions], SplitSet]
"""Makes a study's splits from tasks and the rules about leaks."""


def _leave_one_cluster_out(tasks: Sequence[Task], rules: Taxonomy, options: SplitOptions) -> SplitSet:  # noqa: ARG001
    return splits.leave_one_cluster_out(tasks, rules)


def _within_cluster(tasks: Sequence[Task], rules: Taxonomy, options: SplitOptions) -> SplitSet:
    number = options.counts[0] if options.counts else paper.WITHIN_CLUSTER_SPLITS
    return splits.within_cluster(tasks, rules, splits=number, seed=options.seed)


def _clusters(tasks: Sequence[Task], rules: Taxonomy, options: SplitOptions) -> SplitSet:
    return splits.cluster_counts(
        tasks, rules, order=options.order, test=options.test, max_tasks=options.max_tasks, seed=options.seed
    )


def _tasks_per_cluster(tasks: Sequence[Task], rules: Taxonomy, options: SplitOptions) -> SplitSet:
    counts = options.counts or paper.PER_CLUSTER_COUNTS
    return splits.tasks_per_cluster(
        tasks, rules, order=options.order, test=options.test, counts=counts, seed=options.seed
    )


def _templates(tasks: Sequence[Task], rules: Taxonomy, options: SplitOptions) -> SplitSet:
    counts = options.counts or paper.TEMPLATE_COUNTS
    return splits.template_counts(_base(tasks, rules, options), tasks, counts=counts)


def _training_tasks(tasks: Sequence[Task], rules: Taxonomy, options: SplitOptions) -> SplitSet:
    counts = options.counts or paper.TASK_COUNTS
    return splits.task_counts(_base(tasks, rules, options), tasks, rules, counts=counts, seed=options.seed)


def _base(tasks: Sequence[Task], rules: Taxonomy, options: SplitOptions) -> Split:
    """The split whose training side a study varies."""
    if options.hide_super_glue:
        return splits.without_tasks(tasks, rules, paper.SUPER_GLUE, name="SuperGLUE")
    return splits.without_clusters(tasks, rules, options.test)


MAKERS: Mapping[str, Maker] = {
    "leave-one-cluster-out": _leave_one_cluster_out,
    "within-cluster": _within_cluster,
    "clusters": _clusters,
    "tasks-per-cluster": _tasks_per_cluster,
    "templates": _templates,
    "training-tasks": _training_tasks,
}
"""The studies and their makers; ``paper.KINDS`` has the names for the command line."""


def fragment(split: Split, planned: PlannedSplits) -> str:
    """The lines of a run file for a split, for copying; what they cannot express is a comment."""
    lines = [f"# {split.name}: {len(split.train)} tasks trained on, {len(split.test)} unseen"]
    lines += [f"# On purpose: {rule}." for rule in split.breaks]
    if planned.has_own_rules:
        lines.append("# The rules leave kin families out: write run files with --out, or set holdout.taxonomy.")
    data: dict[str, object] = {"include": _included(split, planned)}
    tables = {"data": data, "holdout": {"task_folds" if split.hidden else "folds": [split.hidden or split.held_out]}}
    if planned.clusters:
        data["clusters"] = planned.clusters
    if split.max_templates:
        tables["prompts"] = {"max_templates": split.max_templates}
    return "\n".join(lines) + "\n" + toml_text(tables)


def write_split(split: Split, planned: PlannedSplits, *, file: RunFile, folder: Path) -> Path:
    """Writes the run file of a split: all other settings are the run file's.

    The study's own rules are written beside it, as ``taxonomy.toml``.

    Returns:
        The run file.

    Raises:
        FlantuneError: The folder cannot be written.
    """
    changes: dict[str, object] = {
        "name": f"{file.config.name}: {split.name}",
        **split_settings(split, file, _in_order(planned)),
        "data.clusters": planned.clusters,
    }
    if planned.has_own_rules:
        path = write_text((folder / "taxonomy.toml").absolute(), taxonomy_toml(planned.taxonomy))
        changes["holdout.taxonomy"] = str(path)
    head = "".join(f"# On purpose: {rule}.\n" for rule in split.breaks)
    config = with_settings(file, changes, origin=f"split {split.name}").config
    return write_text(folder / f"{split.name}.toml", head + to_toml(config))


def taxonomy_toml(taxonomy: Taxonomy) -> str:
    """A taxonomy as a file that ``load_taxonomy`` reads back."""
    names: dict[str, list[str]] = {}
    for alias, name in taxonomy.aliases.items():
        names.setdefault(name, []).append(alias)
    rules = list(map(asdict, taxonomy.overlaps))
    kin = [{"name": group.name, "members": sorted(group.members), "because": group.because} for group in taxonomy.kin]
    return toml_text({"aliases": names, "overlap": rules, "kin": kin})


def _included(split: Split, planned: PlannedSplits) -> tuple[str, ...]:
    return tuple(task.name for task in splits.tasks_in(split, _in_order(planned)))


def _in_order(planned: PlannedSplits) -> list[Task]:
    """The tasks in the run file's order, so that splits are easy to compare."""
    regrouped = {task.name: task for task in planned.tasks}
    return [regrouped[task.name] for task in planned.originals if task.name in regrouped]
