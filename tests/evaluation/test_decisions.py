from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.evaluation.decisions import class_f1, matthews, pearson, spearman
from flantune.evaluation.edits import distance, similarity


def grades(seed: int, rows: int = 40, levels: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, levels, rows)
    said = np.clip(truth + rng.integers(-2, 3, rows), 0, levels - 1)
    return np.stack([truth, said], axis=1).astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_correlations_are_those_of_scipy(seed):
    pairs = grades(seed)
    once = np.ones((1, len(pairs)))
    assert pearson(pairs, once)[0] == pytest.approx(scipy.stats.pearsonr(*pairs.T).statistic, abs=1e-12)
    assert spearman(pairs, once)[0] == pytest.approx(scipy.stats.spearmanr(*pairs.T).statistic, abs=1e-12)


@pytest.mark.parametrize("score", [pearson, spearman, matthews, class_f1])
def test_weights_are_repetitions(score):
    pairs = grades(3)
    weights = np.random.default_rng(1).multinomial(len(pairs), [1 / len(pairs)] * len(pairs), size=30)
    together = score(pairs, weights.astype(float))
    for weight, ours in zip(weights, together, strict=True):
        repeated = np.repeat(pairs, weight, axis=0)
        assert ours == pytest.approx(score(repeated, np.ones((1, len(repeated))))[0], abs=1e-12)


def test_far_from_zero_nothing_is_lost():
    pairs = grades(2) + 1e6
    assert pearson(pairs, np.ones((1, 40)))[0] == pytest.approx(scipy.stats.pearsonr(*grades(2).T).statistic, abs=1e-9)


@pytest.mark.parametrize("score", [pearson, spearman, matthews])
def test_a_model_that_always_says_the_same_correlates_with_nothing(score):
    pairs = np.stack([np.arange(10) % 3, np.full(10, 2)], axis=1).astype(float)
    assert score(pairs, np.ones((1, 10)))[0] == 0.0
    assert score(pairs[:1], np.ones((1, 1)))[0] == 0.0


@pytest.mark.parametrize("score", [pearson, spearman, matthews])
def test_opposites_are_at_minus_one(score):
    pairs = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert score(pairs, np.ones((1, 4)))[0] == pytest.approx(-1.0)


def test_matthews_by_hand():
    """Of 100: 40 and 30 right, 10 false alarms, 20 misses."""
    pairs = np.array([[1, 1]] * 40 + [[0, 0]] * 30 + [[0, 1]] * 10 + [[1, 0]] * 20, dtype=float)
    by_hand = (40 * 30 - 10 * 20) / math.sqrt(50 * 60 * 40 * 50)
    assert matthews(pairs, np.ones((1, 100)))[0] == pytest.approx(by_hand)
    # On two classes it is Pearson's correlation of the 0/1 columns.
    assert matthews(pairs, np.ones((1, 100)))[0] == pytest.approx(pearson(pairs, np.ones((1, 100)))[0])


def plain_distance(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for at, item in enumerate(one, start=1):
        last, row = row, [at]
        for k, thing in enumerate(other, start=1):
            row.append(min(last[k] + 1, row[-1] + 1, last[k - 1] + (item != thing)))
    return row[-1]


@settings(max_examples=300)
@given(st.text("abc", max_size=90), st.text("abcd", max_size=12))
def test_the_edit_distance_is_that_of_the_plain_table(one, other):
    assert distance(one, other) == distance(other, one) == plain_distance(one, other)
    assert 0.0 <= similarity(one, other) <= 1.0
    assert distance(one.split("a"), other.split("a")) <= max(len(one), len(other)) + 1
