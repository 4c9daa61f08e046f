"""Which tasks are trained on and measured, as the settings of an arm: splits in terms of a run file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flantune.errors import ConfigError
from flantune.mixture.holdout import Fold, folds_of, hold_out_fold
from flantune.mixture.proportions import parts_of
from flantune.mixture.taxonomy import load_taxonomy
from flantune.prompts.styles import forward_templates
from flantune.studies import splits
from flantune.studies.paper import PAPER_ORDER, PAPER_TEST, SUPER_GLUE
from flantune.studies.splits import Split
from flantune.studies.study import Measure
from flantune.studies.trees import pruned, tree_settings

if TYPE_CHECKING:
    from flantune.mixture.taxonomy import Taxonomy
    from flantune.settings.run_file import RunFile
    from flantune.types import Task

FINER_CLUSTERS = '`--set data.clusters="flan2021_clusters17"` gives FLAN 2021\'s tasks the 17 clusters of its code'


def split_settings(split: Split, file: RunFile, tasks: Sequence[Task]) -> dict[str, object]:
    """The settings that produce a split: which tasks, and which of them are held out.

    Args:
        split: The split.
        file: The run file; a tree of parts that names tasks or clusters loses those that the split lacks.
        tasks: The run file's tasks, whose order the names keep.
    """
    own = [task for task in tasks if task.name in {*split.train, *split.test}]
    settings: dict[str, object] = {
        "data.include": [task.name for task in own],
        "data.exclude": [],
        "holdout.folds": [] if split.hidden else [list(split.held_out)],
        "holdout.task_folds": [list(split.hidden)] if split.hidden else [],
        "holdout.alone": [],
    }
    if split.max_templates:
        settings["prompts.max_templates"] = split.max_templates
    tree = parts_of(file.config.mixture)
    if (left := pruned(tree, own)) != tree:
        settings |= tree_settings(left)
    return settings


def one_split(
    file: RunFile, tasks: Sequence[Task], taxonomy: Taxonomy, *, super_glue: bool = False
) -> tuple[Split, tuple[str, ...]]:
    """The division of the tasks whose training side a study reduces.

    Args:
        file: The run file; what it holds out is measured: its only fold, or the clusters of all its folds together.
        tasks: Its tasks.
        taxonomy: The taxonomy, for leaks.
        super_glue: Measure SuperGLUE's tasks instead, as in FLAN 2021's public code.

    Returns:
        The split, and sentences on how it differs from the run file's folds.

    Raises:
        ConfigError: Nothing is held out, or nothing is left to train on.
    """
    if super_glue:
        return splits.without_tasks(tasks, taxonomy, SUPER_GLUE, name="SuperGLUE"), ()
    folds = [fold for fold in folds_of(file.config.holdout) if fold.held_out]
    if not folds:
        hint = "hold a cluster out: --set 'holdout.folds=[[\"sentiment\"]]'"
        raise ConfigError("nothing is held out, so nothing unseen could be measured", where="holdout.folds", hint=hint)
    first = folds[0]
    if first.tasks:
        whole = splits.without_tasks(tasks, taxonomy, first.tasks, name="-".join(first.tasks))
    elif len(folds) == 1:
        whole = splits.without_clusters(tasks, taxonomy, first.clusters)
    else:
        return _all_folds_at_once(file, tasks, taxonomy)
    left = f"of {len(folds)} folds only the first is used: {', '.join(first.held_out)}" if len(folds) > 1 else ""
    return whole, (left,) if left else ()


def trained_and_unseen(
    file: RunFile, tasks: Sequence[Task], taxonomy: Taxonomy
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the tasks that some fold of a run file trains on, and of those that some fold measures as unseen.

    Raises:
        ConfigError: A fold names something that does not exist, or leaves nothing to train on or to measure.
    """
    folds = [hold_out_fold(tasks, fold, taxonomy=taxonomy) for fold in folds_of(file.config.holdout) or (Fold(),)]
    trained = {task.name for fold in folds for task in fold.train}
    unseen = {task.name for fold in folds for task in fold.unseen}
    return tuple(t.name for t in tasks if t.name in trained), tuple(t.name for t in tasks if t.name in unseen)


def measured_with_exemplars(file: RunFile, tasks: Sequence[Task]) -> tuple[Measure, tuple[str, ...]]:
    """Tasks that can be measured with exemplars: with rows to take them from, and with room for them.

    Returns:
        The measure, and a sentence on the unseen tasks that it leaves out.

    Raises:
        ConfigError: No unseen task can be shown exemplars.
    """
    _, unseen = trained_and_unseen(file, tasks, load_taxonomy(file.config.holdout.taxonomy))
    able = tuple(task.name for task in tasks if task.name in unseen and _takes_exemplars(task))
    if not able:
        hint = "for Natural-Instructions, which bring examples of their own, there is the study instruction-elements"
        raise ConfigError("no unseen task can be measured with exemplars of its own rows", where="holdout", hint=hint)
    if set(able) == set(unseen):
        return Measure(), ()
    left = ", ".join(name for name in unseen if name not in able)
    return Measure(of="tasks", names=able), (f"not compared, since no exemplars can be shown before them: {left}",)


def _takes_exemplars(task: Task) -> bool:
    return "train" in task.splits and not all(template.encoding for template in forward_templates(task))


def _all_folds_at_once(file: RunFile, tasks: Sequence[Task], taxonomy: Taxonomy) -> tuple[Split, tuple[str, ...]]:
    folds = file.config.holdout.folds
    clusters = list(dict.fromkeys(name for fold in folds for name in fold))
    try:
        split = splits.without_clusters(tasks, taxonomy, clusters)
    except ConfigError:  # together they leave nothing to train on
        split = splits.without_clusters(tasks, taxonomy, folds[0])
        return split, (f"of {len(folds)} folds only the first is used: {', '.join(split.held_out)}",)
    return split, (f"the clusters of all {len(folds)} folds are held out at once, from one model an arm",)


def growing_clusters(
    file: RunFile, tasks: Sequence[Task], taxonomy: Taxonomy, *, order: Sequence[str], test: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The clusters that a study adds one by one, those that it measures, and notes on missing ones.

    Args:
        file: What its first fold holds out is measured if none of the paper's three clusters exists.
        tasks: Its tasks.
        taxonomy: Other names of clusters, and which overlap.
        order: Clusters to add; empty: the paper's seven that the tasks have, or else the tasks' own.
        test: Clusters to measure; empty: the paper's three that the tasks have.

    Raises:
        ConfigError: There is nothing to measure, or fewer than two clusters to train on.
    """
    measured = tuple(test) or _there(PAPER_TEST, tasks, taxonomy)
    if not measured:
        measured = next((fold.clusters for fold in folds_of(file.config.holdout) if fold.clusters), ())
    if not measured:
        hint = "name clusters to measure: --option 'test=[\"sentiment\"]'"
        raise ConfigError(f"none of the clusters that the paper measures is there: {', '.join(PAPER_TEST)}", hint=hint)
    if order:
        return tuple(order), measured, ()
    papers = _apart(_there(PAPER_ORDER, tasks, taxonomy), measured, taxonomy)
    if len(papers) > 1:
        missing = [name for name in PAPER_ORDER if taxonomy.cluster(name) not in map(taxonomy.cluster, papers)]
        note = f"not among the paper's clusters that are added, since no task has them: {', '.join(missing)}"
        return papers, measured, (note,) if missing else ()
    own = _apart(splits.cluster_names(_trainable(tasks), taxonomy), measured, taxonomy)
    if len(own) < 2:
        hint = f"name others to measure (--option 'test=[…]'), or add tasks; {FINER_CLUSTERS}"
        raise ConfigError(
            f"beside what is measured ({', '.join(measured)}) fewer than two clusters are left", hint=hint
        )
    return own, measured, ("the clusters are added in the order of the tasks: the paper's own are not there",)


def _there(names: Sequence[str], tasks: Sequence[Task], taxonomy: Taxonomy) -> tuple[str, ...]:
    known = {taxonomy.cluster(name) for name in splits.cluster_names(tasks, taxonomy)}
    return tuple(name for name in names if taxonomy.cluster(name) in known)


def _apart(names: Sequence[str], measured: Sequence[str], taxonomy: Taxonomy) -> tuple[str, ...]:
    """The clusters that are not measured and not excluded by those that are."""
    held = {taxonomy.cluster(name) for name in measured}
    return tuple(
        name
        for name in names
        if taxonomy.cluster(name) not in held
        and not any(taxonomy.overlap(evaluating=other, training=name) for other in measured)
    )


def _trainable(tasks: Sequence[Task]) -> list[Task]:
    return [task for task in tasks if "train" in task.splits]
