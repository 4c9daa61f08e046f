"""Prompts of similar length are read together, in the number of passes with the lowest cost."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from flantune.models.writing.stretches import stretches


def cost(lengths, parts, pass_cost):
    return sum(pass_cost + max(lengths[start:stop]) * (stop - start) for start, stop in parts)


@pytest.mark.parametrize("pass_cost", [0, 5, 24, 1_000])
@pytest.mark.parametrize("seed", range(4))
def test_no_other_way_to_cut_costs_less(pass_cost, seed):
    lengths = np.random.default_rng(seed).integers(1, 60, 8).tolist()
    ways = [
        [*zip((0, *cuts), (*cuts, len(lengths)), strict=True)]
        for count in range(len(lengths))
        for cuts in combinations(range(1, len(lengths)), count)
    ]
    found = stretches(lengths, pass_cost=pass_cost)
    assert found in ways
    assert cost(lengths, found, pass_cost) == min(cost(lengths, way, pass_cost) for way in ways)


def test_nothing_is_cut_out_of_nothing():
    assert stretches([], pass_cost=24) == []
