"""Single tasks held out: others of their clusters are trained on, their kin is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flantune.commands.plan import split_fold
from flantune.errors import ConfigError
from flantune.mixture.holdout import OVERLAPPING, SAME_CLUSTER, Fold, folds_of, hold_out, hold_out_fold, hold_out_tasks
from flantune.mixture.leaks import explain_fold
from flantune.mixture.taxonomy import Kin, Taxonomy, load_taxonomy
from flantune.settings.config import HoldoutSettings, RunConfig

NONE = Taxonomy()
KIN = Taxonomy(kin=(Kin(name="films", members=frozenset({"a", "c"}), because="the same films"),))


def names(tasks) -> list[str]:
    return [task.name for task in tasks]


def test_others_of_the_cluster_are_trained_on_and_it_is_said(make_task: Callable) -> None:
    tasks = [make_task("a", clusters=["x"]), make_task("b", clusters=["x"]), make_task("c", clusters=["y"])]
    split = hold_out_tasks(tasks, ["a"], taxonomy=NONE)
    assert (names(split.train), names(split.unseen), split.excluded) == (["b", "c"], ["a"], ())
    assert split.held_out == ("task a",)
    assert split.breaks == (SAME_CLUSTER,)
    # The unseen task is the run's own, in the cluster under which its score counts.
    assert split.unseen[0] is tasks[0]
    assert split.clusters == ("x",)


def test_a_held_out_cluster_breaks_no_rule(make_task: Callable) -> None:
    split = hold_out([make_task("a", clusters=["x"]), make_task("c", clusters=["y"])], ["x"], taxonomy=NONE)
    assert (split.breaks, split.clusters) == ((), ("x",))


def test_trap_06_kin_of_a_held_out_task_leaves_training(make_task: Callable) -> None:
    tasks = [
        make_task("a", clusters=["x"]),
        make_task("a2", clusters=["x"], family="a"),
        make_task("b", clusters=["x"]),
        make_task("c", clusters=["y"]),
    ]
    split = hold_out_tasks(tasks, ["a"], taxonomy=KIN)
    assert (names(split.train), names(split.unseen)) == (["b"], ["a"])
    assert {one.task for one in split.excluded} == {"a2", "c"}
    leaks = explain_fold(tasks, Fold(tasks=("a",)), taxonomy=KIN)
    assert leaks.breaks == (SAME_CLUSTER,)
    assert {one.task: [c.task for c in one.connections] for one in leaks.excluded} == {"a2": ["a"], "c": ["a"]}
    assert all("same cluster" not in c.because for one in leaks.excluded for c in one.connections)


def test_an_overlapping_cluster_may_be_trained_on_and_it_is_said(make_task: Callable) -> None:
    tasks = [make_task("a", clusters=["paraphrase"]), make_task("b", clusters=["natural language inference"])]
    split = hold_out_tasks(tasks, ["a"], taxonomy=load_taxonomy(None))
    assert names(split.train) == ["b"]
    assert split.breaks == (OVERLAPPING,)


def test_folds_of_clusters_come_first() -> None:
    settings = HoldoutSettings(folds=(("x",),), task_folds=(("a", "b"),))
    folds = folds_of(settings)
    assert folds == (Fold(clusters=("x",)), Fold(tasks=("a", "b")))
    assert [fold.held_out for fold in folds] == [("x",), ("task a", "task b")]


@pytest.mark.parametrize(
    ("held", "message"),
    [(["a2"], 'no task "a2"'), ([], "holds out no task"), (["a1", "b1"], "no task is left")],
)
def test_what_cannot_be_held_out(make_task: Callable, held: list[str], message: str) -> None:
    tasks = [make_task("a1", clusters=["x"]), make_task("b1", clusters=["y"])]
    with pytest.raises(ConfigError, match=message):
        hold_out_tasks(tasks, held, taxonomy=NONE)


def test_a_task_without_data_is_passed_over_where_missing_data_is_skipped(make_task: Callable) -> None:
    """The fold keeps its name, and so its folder, whatever data is there."""
    tasks = [make_task("a", clusters=["x"]), make_task("b", clusters=["x"])]
    values = {"holdout": {"task_folds": [["a", "gone"]]}}
    (fold,) = folds_of(RunConfig.model_validate(values).holdout)
    with pytest.raises(ConfigError, match='no task "gone"'):
        split_fold(RunConfig.model_validate(values), tasks, fold)
    skipping = RunConfig.model_validate({**values, "data": {"missing": "skip"}})
    split = split_fold(skipping, tasks, fold)
    assert names(split.unseen) == ["a"]
    assert split.held_out == ("task a", "task gone")


def test_every_fold_of_tasks_is_sound(make_task: Callable) -> None:
    shipped = load_taxonomy(None)
    tasks = [make_task(name, clusters=["x"], family=name) for name in ("squad", "qnli", "rte", "boolq", "multirc")]
    for task in tasks:
        split = hold_out_fold(tasks, Fold(tasks=(task.name,)), taxonomy=shipped)
        assert not any(shipped.kinship(one, other) for one in split.train for other in split.unseen)
        placed = [*names(split.train), *names(split.unseen), *(one.task for one in split.excluded)]
        assert sorted(placed) == sorted(names(tasks))
