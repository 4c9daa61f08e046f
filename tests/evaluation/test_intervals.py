from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.evaluation.statistics.intervals import effective_answers, exact_interval, variance_of_mean
from flantune.evaluation.statistics.means import (
    DIFFERENCE,
    SCORE,
    Mean,
    Share,
    above_chance,
    bootstrap_mean,
    clustered_mean,
    combine,
    interval_of,
    t_interval,
    t_test_p,
)


def interval(cells, groups=None, confidence=0.95):
    mean = clustered_mean(np.asarray(cells, float), span=SCORE, confidence=confidence, groups=groups)
    return interval_of(mean, confidence=confidence, span=SCORE)


def exact(right, answers, confidence=0.95):
    found = scipy.stats.binomtest(right, answers).proportion_ci(confidence, method="exact")
    return pytest.approx((found.low, found.high), abs=1e-9)


@settings(max_examples=50)
@given(st.integers(0, 60), st.integers(1, 60), st.sampled_from([0.8, 0.95, 0.99]))
def test_right_and_wrong_answers_get_clopper_and_pearsons_interval(right, more, confidence):
    cells = np.r_[np.ones(right), np.zeros(more)][:, None]
    ours = interval(cells, confidence=confidence)
    assert (ours.low, ours.high) == exact(right, right + more, confidence)
    plain = exact_interval(right / (right + more), answers=right + more, confidence=confidence)
    assert (plain.low, plain.high) == exact(right, right + more, confidence)


@pytest.mark.parametrize("templates", [1, 2, 10])
def test_templates_that_always_agree_are_one_answer(templates):
    rows = np.r_[np.ones(41), np.zeros(3)][:, None]
    ours = interval(np.repeat(rows, templates, axis=1))
    assert (ours.low, ours.high) == exact(41, 44)


def test_templates_that_disagree_at_random_add_to_what_is_known():
    rng = np.random.default_rng(0)
    cells = rng.random((150, 8)) < 0.6
    at_random, alike = interval(cells), interval(cells[:, :1])
    width = at_random.high - at_random.low
    independent = 2 * 1.96 * np.sqrt(0.24 / 1200)
    assert 0.95 * independent < width < 1.25 * independent
    assert width < 0.5 * (alike.high - alike.low)


@pytest.mark.parametrize("rows", [1, 2, 30, 200])
@pytest.mark.parametrize("templates", [1, 4])
def test_all_right_and_all_wrong_are_no_certainty(rows, templates):
    right, wrong = interval(np.ones((rows, templates))), interval(np.zeros((rows, templates)))
    assert (right.low, right.high) == exact(rows, rows)
    assert (wrong.low, wrong.high) == exact(0, rows)


@pytest.mark.parametrize("cells", [[[0.5]], [[1.0, 0.0]], [[0.25, 0.75, 0.5]]])
def test_one_row_says_next_to_nothing(cells):
    ours = interval(cells)
    assert ours.low < 0.03
    assert ours.high > 0.97


def test_rows_that_all_score_alike_are_no_certainty_either():
    ours = interval(np.full((40, 3), 0.5))
    assert 0.4 < ours.low < 0.48
    assert 0.52 < ours.high < 0.6


def test_a_single_slip_is_not_taken_for_a_small_spread():
    """One wrong answer of 300: taken for 300 independent ones it would leave no room for a row that is wholly wrong."""
    cells = np.ones((30, 10))
    cells[4, 2] = 0.0
    ours, naive = interval(cells), exact_interval(299 / 300, answers=300, confidence=0.95)
    assert ours.low < 0.93 < 0.98 < naive.low


def test_a_score_and_its_mirror_image_have_mirrored_intervals():
    cells = np.random.default_rng(1).beta(8, 1, (50, 4))
    ours, mirrored = interval(cells), interval(1 - cells)
    assert (ours.low, ours.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low))


def test_whole_groups_that_are_right_or_wrong_are_one_answer_each():
    groups = np.repeat(np.arange(20), 6)
    cells = np.repeat(np.r_[np.ones(17), np.zeros(3)], 6)[:, None]
    ours = interval(cells, groups)
    assert (ours.low, ours.high) == exact(17, 20)


def test_a_group_with_most_rows_leaves_few_answers():
    sizes = np.array([60.0, *[2.0] * 20])
    sums = np.array([60.0, *[0.0, 2.0] * 10])
    answers = effective_answers(sums, sizes, confidence=0.95)
    assert 1.0 < answers < 4.0


@pytest.mark.parametrize("sizes", [[1, 1, 1, 1, 1], [1, 2, 3, 4], [30, 2, 2, 2, 2, 2]])
def test_the_variance_is_that_of_leaving_units_out(sizes):
    rng, sizes = np.random.default_rng(2), np.array(sizes, float)
    sums = rng.random(len(sizes)) * sizes
    means = [np.delete(sums, at).sum() / np.delete(sizes, at).sum() for at in range(len(sizes))]
    whole, units = sums.sum() / sizes.sum(), len(sizes)
    expected = (units - 1) / units * ((np.array(means) - whole) ** 2).sum()
    assert variance_of_mean(sums, sizes) == pytest.approx(expected)


def test_many_samples_at_once_are_as_one_by_one():
    rng, sizes = np.random.default_rng(3), np.array([1.0, 4.0, 2.0, 2.0])
    sums = rng.random((5, 4)) * sizes
    for many in (lambda s: effective_answers(s, sizes, confidence=0.9), lambda s: variance_of_mean(s, sizes)):
        assert many(sums) == pytest.approx([float(many(one)) for one in sums])


def test_a_mean_made_for_another_level_is_refused():
    mean = clustered_mean(np.eye(4), span=SCORE, confidence=0.9)
    with pytest.raises(ValueError, match=r"0\.9 confidence"):
        interval_of(mean, confidence=0.95, span=SCORE)


def test_several_tasks_keep_the_skew_of_each():
    means = [clustered_mean(np.r_[np.ones(29), np.zeros(1)][:, None], span=SCORE, confidence=0.95)] * 4
    both = combine(Share(task=str(at), weight=0.25, mean=mean) for at, mean in enumerate(means))
    alone, ours = interval_of(means[0], confidence=0.95, span=SCORE), interval_of(both, confidence=0.95, span=SCORE)
    # Four independent tasks halve the reach downwards; upwards they reach as far as their 116 right answers of 120.
    pooled = exact_interval(116 / 120, answers=116, confidence=0.95)
    assert both.value - ours.low == pytest.approx((both.value - alone.low) / 2)
    assert ours.high == pytest.approx(pooled.high)


def test_many_tasks_without_a_mistake_do_not_make_a_ceiling():
    """Eleven tasks all right and one with two slips: the sum of what they reach upwards would be next to nothing."""
    whole = clustered_mean(np.ones((30, 1)), span=SCORE, confidence=0.95)
    slips = clustered_mean(np.r_[np.ones(28), np.zeros(2)][:, None], span=SCORE, confidence=0.95)
    means = [whole] * 11 + [slips]
    both = combine(Share(task=str(at), weight=1 / 12, mean=mean) for at, mean in enumerate(means))
    ours = interval_of(both, confidence=0.95, span=SCORE)
    exactly = exact_interval(358 / 360, answers=360, confidence=0.95)
    assert ours.high == pytest.approx(exactly.high, abs=1e-3)
    assert ours.low < exactly.low


def test_parts_of_one_task_do_not_narrow_its_interval():
    mean = clustered_mean(np.r_[np.ones(9), 0.0][:, None], span=SCORE, confidence=0.95)
    twice = combine([Share(task="a", weight=0.5, mean=mean), Share(task="a", weight=0.5, mean=mean)])
    assert twice.reach.below == pytest.approx(mean.reach.below)
    assert twice.reach.above == pytest.approx(mean.reach.above)


def test_a_part_by_students_t_makes_the_whole_students():
    exactly = clustered_mean(np.eye(5), span=SCORE, confidence=0.95)
    both = combine(
        [Share(task="a", weight=0.5, mean=exactly), Share(task="b", weight=0.5, mean=Mean(value=0.4, se=0.1, df=9))]
    )
    assert both.reach is None
    assert interval_of(both, confidence=0.95, span=SCORE) == t_interval(both, confidence=0.95, span=SCORE)


def test_above_chance_stretches_both_sides():
    mean = clustered_mean(np.r_[np.ones(18), np.zeros(2)][:, None], span=SCORE, confidence=0.95)
    stretched = above_chance(mean, 0.75)
    assert stretched.reach.below == pytest.approx(4 * mean.reach.below)
    assert stretched.reach.above == pytest.approx(4 * mean.reach.above)


def test_a_bootstrapped_score_stays_between_its_ends():
    scores = np.r_[0.97, np.random.default_rng(4).normal(0.97, 0.02, 1000)]
    mean = bootstrap_mean(scores, examples=40, span=SCORE, confidence=0.95)
    ours, theirs = (f(mean, confidence=0.95, span=SCORE) for f in (interval_of, t_interval))
    assert ours.high < 1.0 == theirs.high
    assert ours.low < theirs.low


def test_a_large_group_does_not_make_a_difference_significant():
    """A group of half the rows pulls the mean towards itself; the usual clustered variance overlooks it."""
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(10), [30, 4, 4, 4, 4, 4, 3, 3, 2, 2])
    found = 0
    for _ in range(1500):
        change = rng.normal(size=10)[groups][:, None] / 4
        found += t_test_p(clustered_mean(change, span=DIFFERENCE, confidence=0.95, groups=groups)) < 0.05
    assert found / 1500 < 0.06
