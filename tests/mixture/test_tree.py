from __future__ import annotations

from collections.abc import Callable

import pytest

from flantune.mixture.mixture import Mixture
from flantune.mixture.tree import MixtureTree, mixture_tree
from flantune.settings.config import MixtureSettings
from flantune.settings.json_file import plain, value_of


def test_the_tree_shows_every_task_once_with_its_counts(ready: Callable) -> None:
    tasks = [
        ready("b", 50_000, clusters=("reading", "common sense")),
        ready("a", 250, clusters=("reading",), inverted=2),
        ready("z", 9_000, clusters=("counting",)),
    ]
    tree = mixture_tree(Mixture(tasks, seed=4), draws=12_500)
    assert value_of(plain(tree), MixtureTree, where="here") == tree
    assert [(c.name, [t.name for t in c.tasks]) for c in tree.clusters] == [
        ("counting", ["z"]),
        ("reading", ["a", "b"]),
    ]
    a, b = tree.clusters[1].tasks
    assert (b.examples, b.capped, b.quota, b.clusters) == (50_000, 30_000, 3_000, ("reading", "common sense"))
    assert (a.templates, a.inverted_templates) == (5, 2)
    assert a.rate == pytest.approx(250 / 6_250)
    assert a.draws == pytest.approx(500)
    assert a.epochs == pytest.approx(2)
    assert b.epochs == pytest.approx(0.2)
    for cluster in tree.clusters:
        for key in ("examples", "capped", "quota", "rate", "draws"):
            assert getattr(cluster, key) == pytest.approx(sum(getattr(task, key) for task in cluster.tasks))
    assert (tree.seed, tree.cycle, sum(cluster.rate for cluster in tree.clusters)) == (4, 6_250, pytest.approx(1))


def test_without_draws_nothing_was_seen(ready: Callable) -> None:
    (cluster,) = mixture_tree(Mixture([ready("a", 9)], seed=0, settings=MixtureSettings(rates="equal"))).clusters
    assert (cluster.tasks[0].draws, cluster.tasks[0].epochs) == (0.0, 0.0)
