from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from flantune.errors import ConfigError, LeakError
from flantune.mixture.holdout import Fold, FoldTasks, check_unseen, hold_out, train_alone
from flantune.mixture.taxonomy import Kin, Overlap, Taxonomy, load_taxonomy

NONE = Taxonomy()
SHIPPED = load_taxonomy(None)
PAPER = Taxonomy(overlaps=SHIPPED.overlaps, aliases=SHIPPED.aliases)


def names(tasks) -> list[str]:
    return [task.name for task in tasks]


def places(split: FoldTasks) -> tuple[list[str], list[str], dict[str, str]]:
    return names(split.train), names(split.unseen), {excluded.task: excluded.reason for excluded in split.excluded}


def test_a_cluster_is_held_out_whole(make_task: Callable) -> None:
    tasks = [make_task("a", clusters=["x"]), make_task("b", clusters=["y"]), make_task("c", clusters=["x"])]
    split = hold_out(tasks, ["x"], taxonomy=NONE)
    assert places(split) == (["b"], ["a", "c"], {})
    assert split.held_out == ("x",)


def test_a_task_of_two_clusters_is_unseen_only_if_neither_is_trained_on(make_task: Callable) -> None:
    both = make_task("both", clusters=["x", "y"])
    tasks = [make_task("a", clusters=["x"]), make_task("b", clusters=["y"]), both, make_task("c", clusters=["z"])]
    train, unseen, excluded = places(hold_out(tasks, ["x"], taxonomy=NONE))
    assert (train, unseen) == (["b", "c"], ["a"])
    assert excluded == {"both": 'it also belongs to the cluster "y", which is trained on'}
    train, unseen, excluded = places(hold_out(tasks, ["x", "y"], taxonomy=NONE))
    assert (train, unseen, excluded) == (["c"], ["a", "b", "both"], {})


def test_trap_06_overlap_rules_are_data(make_task: Callable) -> None:
    tasks = [make_task(name, clusters=[name]) for name in ("singing", "humming", "walking")]
    rule = Overlap(evaluating="singing", removes=("humming",), because="both are made of tunes")
    one_way = Taxonomy(overlaps=(rule,))
    train, unseen, excluded = places(hold_out(tasks, ["singing"], taxonomy=one_way))
    assert (train, unseen) == (["walking"], ["singing"])
    assert "both are made of tunes" in excluded["humming"]
    assert places(hold_out(tasks, ["humming"], taxonomy=one_way)) == (["singing", "walking"], ["humming"], {})


def test_trap_06_a_source_family_is_not_on_both_sides(make_task: Callable) -> None:
    tasks = [
        make_task("labels", clusters=["x"], family="captions"),
        make_task("reasons", clusters=["y"], family="Captions"),
        make_task("other", clusters=["y"]),
    ]
    train, unseen, excluded = places(hold_out(tasks, ["x"], taxonomy=NONE))
    assert (train, unseen) == (["other"], ["labels"])
    assert '"labels"' in excluded["reasons"]
    assert "family" in excluded["reasons"]


@pytest.mark.parametrize(
    ("unseen", "trained"),
    [
        ("snli", "e-SNLI"),
        ("mnli", "anli"),
        ("cb", "snli"),
        ("squad", "qnli"),
        ("qnli", "SQuAD_v2"),
        ("wnli", "wsc273"),
        ("winogrande", "dpr"),
        ("winograd", "wsc"),
        ("arc", "openbookqa"),
        ("qasc", "arc"),
        ("qqp", "PAWS-QQP"),
        ("multirc", "boolq"),
        ("record", "cnn_dailymail"),
    ],
)
def test_trap_06_kin_families_are_known(make_task: Callable, unseen: str, trained: str) -> None:
    for by_name in (True, False):
        one, other = (
            make_task(name if by_name else f"my {name} task", clusters=[cluster], family="" if by_name else name)
            for name, cluster in ((unseen, "x"), (trained, "y"))
        )
        for left, right in ((one, other), (other, one)):
            with pytest.raises(LeakError, match="kin") as caught:
                check_unseen([left], [right], taxonomy=SHIPPED)
            assert f'"{left.name}"' in caught.value.message
            assert f'"{right.name}"' in caught.value.message
        third = make_task("third", clusters=["z"])
        split = hold_out([one, other, third], ["x"], taxonomy=SHIPPED)
        assert names(split.train) == ["third"]
        assert "kin" in split.excluded[0].reason


def test_trap_06_unrelated_families_are_not_kin(make_task: Callable) -> None:
    tasks = [make_task(name) for name in ("snli", "squad", "wsc", "arc", "qqp", "multirc", "imdb", "copa", "")]
    for one in tasks:
        assert [other.name for other in tasks if SHIPPED.kinship(one, other)] in ([one.name], [])
    assert not SHIPPED.kinship(make_task("a", family=""), make_task("b", family=""))


def test_leaks_name_both_tasks_and_the_reason(make_task: Callable) -> None:
    unseen = make_task("cosmos", clusters=["reading comprehension with commonsense"])
    for other, why in (
        (make_task("cosmos"), "same task"),
        (make_task("b", clusters=["Reading-Comprehension with commonsense"]), "both belong to the cluster"),
        (make_task("c", clusters=["commonsense"]), 'forbids training on "commonsense"'),
        (make_task("d", family="cosmos"), "both come from the source family"),
    ):
        with pytest.raises(LeakError, match=why) as caught:
            check_unseen([make_task("fine", clusters=["x"]), other], [unseen], taxonomy=SHIPPED)
        assert f'"{other.name}"' in caught.value.message
        assert '"cosmos" is measured as unseen' in caught.value.message
        assert caught.value.hint
    check_unseen([make_task("fine")], [unseen], taxonomy=SHIPPED)


def test_kin_that_goes_can_free_a_cluster_whose_tasks_are_then_unseen(make_task: Callable) -> None:
    """Only "kin" keeps cluster y in training; once it goes, "both" is unseen, and its own kin must go, too."""
    tasks = [
        make_task("held", clusters=["x"], family="f"),
        make_task("both", clusters=["x", "y"], family="g"),
        make_task("kin", clusters=["y"], family="f"),
        make_task("kin of both", clusters=["z"], family="g"),
        make_task("free", clusters=["z"]),
    ]
    split = hold_out(tasks, ["x"], taxonomy=NONE)
    assert (names(split.train), names(split.unseen)) == (["free"], ["held", "both"])
    check_unseen(split.train, split.unseen, taxonomy=NONE)


def test_tasks_that_lack_a_split_are_excluded_with_the_reason(make_task: Callable) -> None:
    tasks = [
        make_task("a", clusters=["x"]),
        make_task("no test", clusters=["x"], splits=["train"]),
        make_task("b", clusters=["y"], splits=["train"]),
        make_task("no train", clusters=["y"], splits=["test"]),
    ]
    train, unseen, excluded = places(hold_out(tasks, ["x"], taxonomy=NONE))
    assert (train, unseen) == (["b"], ["a"])
    assert excluded == {
        "no test": "it has no test split to be measured on",
        "no train": "it has no train split to be trained on",
    }


CLUSTERS = [
    *"abc",
    "commonsense",
    "reading comprehension",
    "reading comprehension with commonsense",
    "nli",
    "paraphrase",
]


@given(
    tasks=st.lists(
        st.tuples(
            st.lists(st.sampled_from(CLUSTERS), min_size=1, max_size=3),
            st.sampled_from(["f", "g", "snli", "e-snli", "qnli", "squad", ""]),
        ),
        min_size=1,
        max_size=10,
    ),
    held=st.lists(st.sampled_from(CLUSTERS), min_size=1, max_size=2),
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much])
def test_every_task_is_in_exactly_one_place_and_nothing_leaks(
    make_task: Callable, tasks: list, held: list[str]
) -> None:
    made = [make_task(f"t{n}", clusters=clusters, family=family) for n, (clusters, family) in enumerate(tasks)]
    try:
        split = hold_out(made, held, taxonomy=SHIPPED)
    except ConfigError:
        assume(False)
    train, unseen, excluded = places(split)
    assert sorted([*train, *unseen, *excluded]) == sorted(names(made))
    assert train
    assert unseen
    assert all(excluded.values())
    check_unseen(split.train, split.unseen, taxonomy=SHIPPED)
    canonical = {SHIPPED.cluster(name) for name in held}
    assert not any(SHIPPED.cluster(c) in canonical for task in split.train for c in task.clusters)
    assert all(any(SHIPPED.cluster(c) in canonical for c in task.clusters) for task in split.unseen)


def test_unknown_clusters_come_all_at_once_with_near_misses(make_task: Callable) -> None:
    tasks = [make_task("a", clusters=["commonsense"]), make_task("b", clusters=["translation"])]
    with pytest.raises(ConfigError) as caught:
        hold_out(tasks, ["comonsense", "translation", "cooking"], taxonomy=SHIPPED)
    assert 'did you mean "commonsense"?' in caught.value.message
    assert '"cooking"' in caught.value.message
    assert "commonsense, translation" in caught.value.hint
    assert caught.value.where == "holdout.folds"


def test_clusters_go_by_other_names_too(make_task: Callable) -> None:
    tasks = [make_task("a", clusters=["natural language inference"]), make_task("b", clusters=["sentiment"])]
    for name in ("NLI", "entailment", "Natural_Language-Inference"):
        assert hold_out(tasks, [name], taxonomy=SHIPPED).held_out == ("natural language inference",)


def test_empty_sides_are_errors_that_say_why(make_task: Callable) -> None:
    tasks = [
        make_task("a", clusters=["commonsense"]),
        make_task("b", clusters=["reading comprehension with commonsense"]),
    ]
    with pytest.raises(ConfigError, match="no task is left to train on") as caught:
        hold_out(tasks, ["commonsense"], taxonomy=SHIPPED)
    assert "overlaps" in caught.value.hint
    tasks = [make_task("a", clusters=["x", "y"]), make_task("b", clusters=["y"])]
    with pytest.raises(ConfigError, match="can be measured as unseen") as caught:
        hold_out(tasks, ["x"], taxonomy=NONE)
    assert 'cluster "y"' in caught.value.hint
    with pytest.raises(ConfigError, match="holds out no cluster"):
        hold_out(tasks, [], taxonomy=NONE)


def test_a_taxonomy_of_ones_own_replaces_or_extends_the_shipped_one(tmp_path, make_task: Callable) -> None:
    text = """
[aliases]
"cooking" = ["cuisine"]
[[overlap]]
evaluating = "cuisine"
removes = ["baking"]
[[kin]]
name = "stews"
members = ["Goulash", "ragout"]
because = "the same pot"
"""
    path = tmp_path / "own.toml"
    path.write_text(text)
    own = load_taxonomy(path)
    assert own.kin == (Kin(name="stews", members=frozenset({"goulash", "ragout"}), because="the same pot"),)
    assert own.overlap(evaluating="cooking", training="Baking")
    assert not own.overlap(evaluating="paraphrase", training="nli")
    path.write_text("extends_shipped = true\n" + text)
    both = load_taxonomy(path)
    assert both.overlap(evaluating="paraphrase", training="nli")
    assert both.overlap(evaluating="cooking", training="Baking")
    assert len(both.kin) == len(SHIPPED.kin) + 1


def test_all_mistakes_in_a_taxonomy_come_at_once(tmp_path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(
        'kins = 1\naliases = 3\n[[overlap]]\nevaluate = "a"\nremoves = "b"\n[[kin]]\nname = "k"\nmembers = [1]\n'
    )
    with pytest.raises(ConfigError) as caught:
        load_taxonomy(path)
    for part in (
        'kins: unknown key; did you mean "kin"?',
        'overlap[0].evaluate: unknown key; did you mean "evaluating"?',
        "overlap[0].evaluating: is missing",
        'overlap[0].removes: should be a list, got "b"',
        "kin[0].members[0]: should be text, got 1",
        "aliases: should be a table, got 3",
    ):
        assert part in caught.value.message
    path.write_text("[overlap]\nevaluating = 1\n")
    with pytest.raises(ConfigError, match=r"write \[\[overlap\]\], in double brackets"):
        load_taxonomy(path)
    path.write_text("[[kin")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_taxonomy(path)
    with pytest.raises(ConfigError, match="no such taxonomy"):
        load_taxonomy(tmp_path / "absent.toml")


def test_the_shipped_rules_name_each_kin_member_once_a_group_and_say_why() -> None:
    for group in SHIPPED.kin:
        assert len(group.members) > 1
        assert group.because
    assert all(rule.because for rule in SHIPPED.overlaps)
    known = {SHIPPED.cluster(name) for name in SHIPPED.aliases}
    for rule in SHIPPED.overlaps:
        assert {SHIPPED.cluster(name) for name in (rule.evaluating, *rule.removes)} <= known


def test_a_task_alone_needs_rows_to_train_on_and_to_measure(make_task: Callable) -> None:
    tasks = [make_task("a"), make_task("b"), make_task("c", splits=["train"]), make_task("d", splits=["test"])]
    split = train_alone(tasks, "a")
    assert (names(split.train), split.unseen, split.clusters) == (["a"], (), ())
    assert names(split.measured) == ["a"]
    assert split.held_out == Fold(alone="a").held_out == ("all but a",)
    assert [one.task for one in split.excluded] == ["b", "c", "d"]
    for name, lacking in (("c", "no test split"), ("d", "no train split")):
        with pytest.raises(ConfigError, match=lacking):
            train_alone(tasks, name)
