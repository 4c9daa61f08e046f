"""The verdict names the clusters that clearly moved, and only those."""

from __future__ import annotations

import pytest

from flantune.evaluation.estimates import Difference
from flantune.evaluation.statistics.discovery_rates import clear_direction
from flantune.evaluation.verdict import moved_notes


def change(value: float, p: float) -> Difference:
    half = abs(value) * (0.5 if p <= 0.05 else 2.0)
    return Difference(value=value, low=value - half, high=value + half, se=half / 2, p=p, detectable=0.1)


def test_clear_clusters_are_named_the_largest_change_first():
    found = [
        ("coreference", change(0.03, 0.001)),
        ("sentiment", change(0.08, 0.001)),
        ("commonsense", change(-0.02, 0.002)),
        ("paraphrase", change(0.05, 0.4)),
    ]
    assert moved_notes(found, confidence=0.95) == (
        "Clearly better: sentiment (+8.0), coreference (+3.0); clearly worse: commonsense (-2.0); "
        "not clear: 1 other cluster.",
    )


def test_one_of_twenty_that_seems_to_move_is_not_named():
    found = [(f"c{number}", change(0.05, 0.04 if number == 0 else 0.6)) for number in range(20)]
    assert found[0][1].direction == "better"
    assert moved_notes(found, confidence=0.95) == ("None of the 20 clusters changed clearly on its own.",)


def test_a_single_cluster_is_the_verdict_already():
    assert moved_notes([("sentiment", change(0.08, 0.001))], confidence=0.95) == ()


@pytest.mark.parametrize(("rate", "direction"), [(None, "better"), (0.05, "better"), (0.051, "undecided")])
def test_a_rate_of_false_discovery_has_the_last_word(rate, direction):
    assert clear_direction(change(0.1, 0.001), rate, confidence=0.95) == direction


def test_a_low_rate_makes_nothing_of_an_interval_with_zero_in_it():
    assert clear_direction(change(0.1, 0.2), 0.01, confidence=0.95) == "undecided"
