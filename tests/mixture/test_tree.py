from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from flantune.mixture.mixture import Mixture
from flantune.mixture.tree import mixture_tree
from flantune.settings.config import MixtureSettings


def test_the_tree_shows_every_task_once_with_its_counts(ready: Callable) -> None:
    tasks = [
        ready("b", 50_000, clusters=("reading", "common sense")),
        ready("a", 250, clusters=("reading",), inverted=2),
        ready("z", 9_000, clusters=("counting",)),
    ]
    mixture = Mixture(tasks, seed=4)
    tree = mixture_tree(mixture, draws=12_500)
    assert json.loads(json.dumps(tree)) == tree
    assert [(c["name"], [t["name"] for t in c["children"]]) for c in tree["children"]] == [
        ("counting", ["z"]),
        ("reading", ["a", "b"]),
    ]
    a, b = tree["children"][1]["children"]
    assert (b["examples"], b["capped"], b["quota"], b["clusters"]) == (
        50_000,
        30_000,
        3_000,
        ["reading", "common sense"],
    )
    assert (a["templates"], a["inverted_templates"]) == (5, 2)
    assert a["rate"] == pytest.approx(250 / 6_250)
    assert a["draws"] == pytest.approx(500)
    assert a["epochs"] == pytest.approx(2)
    assert b["epochs"] == pytest.approx(0.2)
    for branch in (tree, *tree["children"]):
        for key in ("examples", "capped", "quota", "rate", "draws"):
            assert branch[key] == pytest.approx(sum(child[key] for child in branch["children"]))
    assert (tree["name"], tree["seed"], tree["cycle"], tree["rate"]) == ("mixture", 4, 6_250, pytest.approx(1))


def test_without_draws_there_are_no_epochs(ready: Callable) -> None:
    (cluster,) = mixture_tree(Mixture([ready("a", 9)], seed=0, settings=MixtureSettings(rates="equal")))["children"]
    assert not {"draws", "epochs"} & set(cluster["children"][0])
