"""Gaps between groups of rows: paired and not, with intervals that hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from flantune.evaluation.statistics.gaps import gap_mean
from flantune.evaluation.statistics.means import SCORE, t_interval


def test_of_pairs_it_is_the_paired_t_test():
    generator = np.random.Generator(np.random.Philox(7))
    first, second = generator.random((2, 40))
    cells = np.concatenate([first, second])[:, None]
    side, groups = np.repeat([1, -1], 40), np.tile(np.arange(40), 2)
    found = gap_mean(cells, side, groups, span=SCORE, confidence=0.95)
    known = stats.ttest_rel(first, second)
    assert found.value / found.se == pytest.approx(known.statistic) and found.df == pytest.approx(39)
    interval, wanted = t_interval(found, confidence=0.95, span=(-1, 1)), known.confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((wanted.low, wanted.high))


def test_of_two_equal_groups_of_other_texts_it_is_the_two_sample_test():
    generator = np.random.Generator(np.random.Philox(8))
    first, second = generator.random((2, 50))
    side = np.repeat([1, -1], 50)
    found = gap_mean(np.concatenate([first, second])[:, None], side, np.arange(100), span=SCORE, confidence=0.95)
    known = stats.ttest_ind(first, second, equal_var=False)
    assert found.value / found.se == pytest.approx(known.statistic, rel=0.01)


@pytest.mark.parametrize(("pairs", "sizes"), [(True, (60, 60)), (False, (20, 400)), (False, (80, 80))])
def test_intervals_hold_what_they_promise(pairs, sizes):
    generator = np.random.Generator(np.random.Philox(9))
    held, rounds = 0, 1500
    for _ in range(rounds):
        hard = generator.random(sizes[0]) < 0.5
        first = (generator.random(sizes[0]) < np.where(hard, 0.4, 0.9)).astype(float)
        chance = np.where(hard, 0.3, 0.8) if pairs else 0.55
        second = (generator.random(sizes[1]) < chance).astype(float)
        side = np.repeat([1, -1], sizes)
        groups = np.tile(np.arange(sizes[0]), 2) if pairs else np.arange(sum(sizes))
        found = gap_mean(np.concatenate([first, second])[:, None], side, groups, span=SCORE, confidence=0.95)
        interval = t_interval(found, confidence=0.95, span=(-1.0, 1.0))
        held += interval.low <= 0.1 <= interval.high
    assert 0.93 <= held / rounds <= 0.975


def test_templates_are_averaged_row_by_row_and_dropped_prompts_left_out():
    cells = np.array([[1.0, np.nan], [0.0, 1.0], [np.nan, np.nan], [1.0, 1.0], [0.0, 0.0]])
    side = np.array([1, -1, 1, -1, 0])
    found = gap_mean(cells, side, np.arange(5), span=SCORE, confidence=0.95)
    assert found.value == pytest.approx(1.0 - 0.75)


def test_rows_that_all_agree_prove_less_than_everything():
    side = np.repeat([1, -1], 10)
    found = gap_mean(np.ones((20, 1)), side, np.tile(np.arange(10), 2), span=SCORE, confidence=0.95)
    assert found.value == 0.0 and found.se > 0.1
