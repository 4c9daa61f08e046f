from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.evaluation.metrics.decisions import class_f1, matthews, pearson, spearman
from flantune.evaluation.metrics.edits import distance, similarity


def grades(seed: int, rows: int = 40, levels: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, levels, rows)
    said = np.clip(truth + rng.integers(-2, 3, rows), 0, levels - 1)
    return np.stack([truth, said], axis=1).astype(float)


def of(options: int, pairs) -> np.ndarray:
    """Decisions among so many options."""
    return np.array([(*pair, options) for pair in pairs], dtype=float)


@pytest.mark.parametrize("seed", range(5))
def test_correlations_are_those_of_scipy(seed):
    pairs = grades(seed)
    once = np.ones((1, len(pairs)))
    assert pearson(pairs, once)[0] == pytest.approx(scipy.stats.pearsonr(*pairs.T).statistic, abs=1e-12)
    assert spearman(pairs, once)[0] == pytest.approx(scipy.stats.spearmanr(*pairs.T).statistic, abs=1e-12)


@pytest.mark.parametrize("score", [pearson, spearman, matthews, class_f1])
def test_weights_are_repetitions(score):
    pairs = of(6, grades(3)) if score is class_f1 else grades(3)
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


def macro_f1(gold, said, classes) -> float:
    """Written down again in sets."""
    scores = []
    for one in classes:
        wanted, chosen = {i for i, g in enumerate(gold) if g == one}, {i for i, s in enumerate(said) if s == one}
        scores.append(2 * len(wanted & chosen) / (len(wanted) + len(chosen)))
    return sum(scores) / len(scores)


def f1(options: int, gold, said, weights=None) -> float:
    once = np.ones((1, len(gold))) if weights is None else np.array([weights], dtype=float)
    return float(class_f1(of(options, zip(gold, said, strict=True)), once)[0])


@pytest.mark.parametrize(
    ("options", "gold", "said", "classes"),
    [
        # Of three or more options only the first two occur: still a mean, never the F1 of the second.
        (3, [1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 1]),
        (4, [0, 1, 1, 0], [1, 1, 1, 0], [0, 1]),
        (5, [0, 0, 0], [0, 0, 1], [0]),
        (3, [1, 1, 1], [1, 1, 0], [1]),
        # A class that is chosen and never asked for is no class of its own: it costs those that were asked for.
        (3, [0, 0, 1, 1], [0, 2, 1, 2], [0, 1]),
        (7, [0, 3, 6, 6], [0, 3, 6, 5], [0, 3, 6]),
        (6, [5, 5, 4], [0, 1, 4], [4, 5]),
    ],
)
def test_macro_f1_has_one_formula_whatever_occurs(options, gold, said, classes):
    assert f1(options, gold, said) == pytest.approx(macro_f1(gold, said, classes))


@pytest.mark.parametrize(
    ("gold", "said"), [([0, 0, 0], [0, 0, 0]), ([0, 0], [0, 1]), ([1, 1], [1, 0]), ([0, 1, 1], [1, 1, 0])]
)
def test_of_two_options_it_is_always_the_second_that_counts(gold, said):
    hits = sum(g == s == 1 for g, s in zip(gold, said, strict=True))
    total = sum(gold) + sum(said)
    assert f1(2, gold, said) == pytest.approx(2 * hits / total if total else 0.0)


def test_what_a_model_says_changes_no_denominator():
    """Two models that are right on the same rows, and wrong in another way, score the same."""
    gold = [0, 0, 0, 1, 1, 1]
    wrong_inside = [0, 0, 1, 1, 1, 0]
    wrong_outside = [0, 0, 2, 1, 1, 3]
    assert f1(4, gold, wrong_inside) == pytest.approx(2 / 3)
    assert f1(4, gold, wrong_outside) == pytest.approx(0.8)
    assert f1(4, gold, wrong_outside) > f1(4, gold, wrong_inside)


def test_rows_with_fewer_options_do_not_change_the_formula():
    """The largest number of options says how many classes there are."""
    decisions = np.array([[0, 0, 2], [1, 0, 2], [1, 1, 3], [0, 0, 3]], dtype=float)
    assert class_f1(decisions, np.ones((1, 4)))[0] == pytest.approx(macro_f1([0, 1, 1, 0], [0, 0, 1, 0], [0, 1]))


def test_replicates_go_by_the_same_formula_for_both_models():
    """A replicate that draws no row of class 2 averages the others, whether or not a model says 2 in it."""
    gold, weights = [0, 1, 2], [1, 2, 0]
    assert f1(3, gold, [0, 1, 2], weights) == 1.0
    assert f1(3, gold, [2, 1, 2], weights) == pytest.approx((0 + 1) / 2)
    # Binary, no row of class 1 drawn: nothing of it was found.
    assert f1(2, [0, 1], [0, 1], [1, 0]) == 0.0


def test_a_row_without_a_right_option_costs_the_class_that_was_chosen():
    assert f1(3, [-1, 0, 1], [0, 0, 1]) == pytest.approx((2 / 3 + 1) / 2)


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
