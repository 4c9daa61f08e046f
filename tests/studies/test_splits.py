"""The generators of splits, on made tasks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.no_source import NoSource

from flantune.errors import ConfigError, LeakError
from flantune.mixture.holdout import SAME_CLUSTER, check_unseen, hold_out_fold
from flantune.mixture.taxonomy import Taxonomy, load_taxonomy
from flantune.studies.splits import (
    Split,
    SplitSet,
    cluster_counts,
    leave_one_cluster_out,
    ranked,
    round_robin,
    task_counts,
    tasks_in,
    tasks_per_cluster,
    template_counts,
    within_cluster,
    without_clusters,
    without_tasks,
)
from flantune.types import Task, Template

RULES = load_taxonomy(None)
PLAIN = Taxonomy()


def make_task(name: str, cluster: str, *, family: str = "", splits: tuple[str, ...] = ("train", "test")) -> Task:
    return Task(
        name=name,
        clusters=(cluster,),
        source_family=family or name,
        kind="generation",
        source=NoSource(),
        adapter=None,
        splits={role: role for role in splits},
        templates=tuple(Template(name=f"t{n}", inputs="{text}") for n in range(7)),
        metrics=("exact_match",),
    )


def grid(**sizes: int) -> list[Task]:
    return [make_task(f"{cluster}{n}", cluster) for cluster, count in sizes.items() for n in range(count)]


def sides(split: Split, tasks: list[Task]) -> tuple[list[Task], list[Task]]:
    own = tasks_in(split, tasks)
    return [t for t in own if t.name in split.train], [t for t in own if t.name in split.test]


def check_sound(study: SplitSet, tasks: list[Task], taxonomy: Taxonomy) -> None:
    """Nothing leaks, and a run of just these tasks has just these sides."""
    assert study.splits
    assert len({split.name for split in study.splits}) == len(study.splits)
    for split in study.splits:
        train, test = sides(split, tasks)
        assert train and test
        if split.hidden:
            assert not any(taxonomy.kinship(one, other) for one in train for other in test)
        else:
            check_unseen(train, test, taxonomy=taxonomy)
        run = hold_out_fold([*train, *test], split.fold, taxonomy=taxonomy)
        assert [t.name for t in run.train] == [t.name for t in train]
        assert {t.name for t in run.unseen} == set(split.test)


def test_each_cluster_is_left_out_once() -> None:
    tasks = grid(a=2, b=3, c=1)
    study = leave_one_cluster_out(tasks, PLAIN)
    check_sound(study, tasks, PLAIN)
    assert [split.held_out for split in study.splits] == [("a",), ("b",), ("c",)]
    assert study.splits[1].test == ("b0", "b1", "b2")
    assert study.splits[1].train == ("a0", "a1", "c0")


def test_a_cluster_without_a_test_split_is_noted_not_lost() -> None:
    tasks = [*grid(a=2, b=1), make_task("only", "c", splits=("train",))]
    study = leave_one_cluster_out(tasks, PLAIN)
    assert [split.held_out for split in study.splits] == [("a",), ("b",)]
    assert len(study.notes) == 1 and study.notes[0].startswith('"c" cannot be left out')


def test_within_clusters_hides_one_family_of_each_and_breaks_one_rule_on_purpose() -> None:
    tasks = grid(a=4, b=3)
    study = within_cluster(tasks, PLAIN, splits=12)
    check_sound(study, tasks, PLAIN)
    for split in study.splits:
        assert len(split.test) == 2
        assert {name[0] for name in split.test} == {"a", "b"} == {name[0] for name in split.train}
        assert split.breaks == (SAME_CLUSTER,)
    hidden = [next(name for name in split.test if name[0] == "a") for split in study.splits]
    assert sorted(hidden[:4]) == ["a0", "a1", "a2", "a3"]
    assert hidden[:4] == hidden[4:8] == hidden[8:]


def test_trap_06_related_tasks_never_stand_on_both_sides() -> None:
    tasks = [
        make_task("squad_v1", "reading", family="squad"),
        make_task("squad_v2", "reading", family="squad"),
        make_task("drop", "reading"),
        make_task("qnli", "inference"),
        make_task("rte", "inference"),
    ]
    for split in within_cluster(tasks, RULES, splits=4).splits:
        assert ("squad_v1" in split.test) == ("squad_v2" in split.test)
        if "squad_v1" in split.test:  # QNLI is made from SQuAD: hidden, too, or not trained on
            assert "qnli" not in split.train


def test_a_cluster_of_one_family_is_never_hidden() -> None:
    study = within_cluster(grid(a=2, b=1), PLAIN)
    assert all("b0" in split.train for split in study.splits)
    assert study.notes == ('"b" is never hidden: it has one source family',)
    with pytest.raises(ConfigError, match="none can be split"):
        within_cluster(grid(a=1, b=1), PLAIN)


def test_clusters_are_added_one_at_a_time_and_the_test_stays() -> None:
    tasks = grid(a=2, b=3, c=1, x=2)
    study = cluster_counts(tasks, PLAIN, order=["b", "a", "c"], test=["x"])
    check_sound(study, tasks, PLAIN)
    assert [len(split.train) for split in study.splits] == [3, 5, 6]
    assert {split.test for split in study.splits} == {("x0", "x1")}
    assert [split.name for split in study.splits] == ["1-cluster", "2-clusters", "3-clusters"]


def test_a_limit_takes_from_the_clusters_in_turn() -> None:
    tasks = grid(a=9, b=2, x=1)
    study = cluster_counts(tasks, PLAIN, order=["a", "b"], test=["x"], max_tasks=5)
    check_sound(study, tasks, PLAIN)
    assert [len(split.train) for split in study.splits] == [5, 5]
    assert sum(name[0] == "a" for name in study.splits[1].train) == 3


def test_kin_of_a_training_task_leaves_the_test_and_is_noted() -> None:
    tasks = [make_task("squad_v1", "a"), make_task("qnli", "x"), make_task("copa", "x")]
    study = cluster_counts(tasks, RULES, order=["a"], test=["x"])
    check_sound(study, tasks, RULES)
    assert study.splits[0].test == ("copa",)
    assert "qnli (kin to squad_v1)" in study.notes[0]


def test_an_order_that_overlaps_with_the_test_is_a_leak() -> None:
    tasks = [make_task("mrpc", "paraphrase"), make_task("rte", "nli")]
    with pytest.raises(LeakError, match="paraphrase"):
        cluster_counts(tasks, RULES, order=["paraphrase"], test=["nli"])


def test_tasks_per_cluster_nest() -> None:
    tasks = grid(a=4, b=2, x=1)
    study = tasks_per_cluster(tasks, PLAIN, order=["a", "b"], test=["x"])
    check_sound(study, tasks, PLAIN)
    assert [len(split.train) for split in study.splits] == [2, 4, 5, 6]
    for small, large in zip(study.splits, study.splits[1:], strict=False):
        assert set(small.train) < set(large.train)
    assert study.notes == ("some clusters have fewer than 4 tasks: 2 of b",)


def test_template_counts_say_what_is_out_of_reach() -> None:
    tasks = grid(a=2, b=1)
    study = template_counts(without_clusters(tasks, PLAIN, ["b"]), tasks)
    assert [split.max_templates for split in study.splits] == [1, 2, 4, 7]
    assert study.notes == ("no training task has more than 7 templates: left out 10",)


def test_task_counts_nest() -> None:
    tasks = grid(a=12, b=1)
    study = task_counts(without_clusters(tasks, PLAIN, ["b"]), tasks, PLAIN)
    check_sound(study, tasks, PLAIN)
    assert [len(split.train) for split in study.splits] == [5, 10]
    assert set(study.splits[0].train) < set(study.splits[1].train)
    assert study.notes and "15" in study.notes[0]


def test_single_tasks_can_be_hidden() -> None:
    tasks = grid(a=3, b=2)
    split = without_tasks(tasks, PLAIN, ["a1", "b0"], name="two")
    check_sound(SplitSet(kind="", splits=(split,)), tasks, PLAIN)
    assert split.test == ("a1", "b0") and split.breaks == (SAME_CLUSTER,)
    assert split.train == ("a0", "a2", "b1")


def test_an_unknown_cluster_is_named_with_one_like_it() -> None:
    with pytest.raises(ConfigError, match="sentimant") as caught:
        without_clusters(grid(sentiment=1, b=1), PLAIN, ["sentimant"])
    assert 'did you mean "sentiment"?' in caught.value.hint


def test_another_task_changes_no_others_rank() -> None:
    tasks = grid(a=8)
    more = ranked([*tasks, make_task("new", "a")], seed=3)
    assert [t.name for t in more if t.name != "new"] == [t.name for t in ranked(tasks, seed=3)]
    assert ranked(tasks, seed=3) != ranked(tasks, seed=4)


@given(st.lists(st.integers(0, 5), max_size=5), st.integers(0, 12))
def test_round_robin_is_fair(sizes: list[int], limit: int) -> None:
    groups = [[make_task(f"{number}.{place}", "a") for place in range(size)] for number, size in enumerate(sizes)]
    taken = round_robin(groups, limit=limit)
    assert len(taken) == min(limit, sum(sizes))
    shares = [sum(task.name.startswith(f"{number}.") for task in taken) for number in range(len(sizes))]
    for share, size in zip(shares, sizes, strict=True):
        assert share == size or share >= max(shares) - 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("fghi")), min_size=3, max_size=9), st.integers(0, 9))
def test_every_split_of_any_tasks_is_sound(kinds: list[tuple[str, str]], seed: int) -> None:
    tasks = [make_task(f"t{n}", cluster, family=family) for n, (cluster, family) in enumerate(kinds)]
    for make in (leave_one_cluster_out, lambda t, r: within_cluster(t, r, splits=3, seed=seed)):
        try:
            study = make(tasks, PLAIN)
        except ConfigError:
            continue
        if study.splits:
            check_sound(study, tasks, PLAIN)
