"""Which leaf a draw goes to: shares met exactly, visits counted without a gap, nothing stored."""

from __future__ import annotations

from math import gcd

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from flantune.mixture.schedule import (
    BLOCK,
    PERIOD,
    STEP,
    Cycles,
    EvenSpread,
    rounded_sum,
    rounded_sums,
    whole_weights,
)

SHARES = st.lists(st.floats(1e-12, 1), min_size=1, max_size=40).map(lambda raw: [one / sum(raw) for one in raw])


def test_each_place_of_a_period_is_met_once() -> None:
    assert gcd(STEP, PERIOD) == 1
    assert abs(STEP - PERIOD * 2 / (1 + 5**0.5)) < 2


@given(SHARES)
def test_whole_weights_are_the_shares_to_a_place_and_none_is_empty(shares: list[float]) -> None:
    found = whole_weights(shares)
    assert sum(found) == PERIOD
    assert min(found) >= 1
    assert max(abs(places - share * PERIOD) for places, share in zip(found, shares, strict=True)) <= len(shares) + 1


@given(st.integers(0, 3_000), st.integers(0, 2 * PERIOD))
def test_rounded_multiples_are_added_up_by_a_formula(count: int, offset: int) -> None:
    expected = sum((k * STEP + offset) // PERIOD for k in range(count))
    assert rounded_sum(count, offset) == expected
    assert rounded_sums(np.array([count]), np.array([offset])).tolist() == [expected]


@given(st.integers(0, PERIOD - 1), st.integers(0, 2 * PERIOD))
def test_large_sums_agree_modulo_two_to_the_64(count: int, offset: int) -> None:
    assert rounded_sums(np.array([count]), np.array([offset])).tolist() == [rounded_sum(count, offset) % 2**64]


@given(SHARES, st.integers(0, 99), st.integers(0, 5 * PERIOD // BLOCK))
def test_visits_are_numbered_without_a_gap_from_any_block_on(shares: list[float], seed: int, block: int) -> None:
    schedule = EvenSpread(whole_weights(shares), seed=seed)
    found = schedule.visits(np.arange(block * BLOCK, (block + 1) * BLOCK))
    for leaf in np.unique(found.leaf):
        numbers = np.sort(found.number[found.leaf == leaf])
        assert (np.diff(numbers) == 1).all()
    for at in (0, 1_234, BLOCK - 1):
        assert schedule.visit(block * BLOCK + at) == (found.leaf[at], found.number[at])


def test_after_a_whole_period_each_leaf_had_its_weight() -> None:
    weights = [PERIOD // 2, PERIOD // 2 - 1_000_003, 1_000_003]
    schedule = EvenSpread(weights, seed=4)
    first = schedule.visits(np.arange(PERIOD, PERIOD + BLOCK))
    for leaf, weight in enumerate(weights):
        numbers = first.number[first.leaf == leaf]
        assert len(numbers) == 0 or numbers.min() == weight


def test_the_order_within_a_block_has_no_pattern() -> None:
    schedule = EvenSpread(whole_weights([0.5, 0.5]), seed=0)
    leaves = schedule.visits(np.arange(64 * BLOCK)).leaf
    pairs = np.bincount(2 * leaves[:-1:2] + leaves[1::2], minlength=4)
    assert chisquare(pairs).pvalue > 1e-4


def test_weights_that_do_not_fill_the_circle_are_a_slip() -> None:
    with pytest.raises(ValueError, match="add up to 5"):
        EvenSpread([2, 3], seed=0)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(0, 9))
def test_cycles_agree_one_by_one_and_all_at_once(quotas: list[int], seed: int) -> None:
    schedule = Cycles(quotas, seed=seed)
    index = np.arange(3 * schedule.length)
    found = schedule.visits(index)
    assert [schedule.visit(int(at)) for at in index] == list(
        zip(found.leaf.tolist(), found.number.tolist(), strict=True)
    )
