"""The small version of ``python -m benchmarks interval_coverage``: intervals hold the truth as often as they say."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from benchmarks.interval_coverage import (
    CONFIDENCE,
    World,
    covered,
    difference_p,
    draw,
    generator_of,
    group_sizes,
    score_intervals,
    two_models,
)

from flantune.evaluation.statistics.means import (
    DIFFERENCE,
    SCORE,
    Share,
    clustered_mean,
    combine,
    interval_of,
    t_interval,
    t_test_p,
)

DATASETS = 700
LOWEST = 0.93


def slack(rate: float, datasets: int) -> float:
    """What so many datasets may err by: of a hundred cells none should."""
    return 3.5 * math.sqrt(rate * (1 - rate) / datasets)


@pytest.mark.parametrize("share", [0.5, 0.7, 0.85, 0.92, 0.95, 0.98])
@pytest.mark.parametrize("rows", [30, 47, 100, 200])
def test_the_interval_of_a_score_covers(share, rows):
    for templates, correlation in ((1, 0.0), (2, 0.9), (4, 0.4), (10, 0.0), (10, 0.15), (10, 0.6), (10, 1.0)):
        world = World(share=share, sizes=(1,) * rows, templates=templates, correlation=correlation)
        ends = score_intervals(draw(world, DATASETS, generator_of("test", world)), world.sizes)
        assert covered(ends, share) >= LOWEST - slack(LOWEST, DATASETS), world
        # Not by being wide: at most twice the normal interval of somebody who knows the variance.
        assert (ends[1] - ends[0]).mean() < 2.05 * 2 * 1.96 * math.sqrt(world.variance), world


@pytest.mark.parametrize("share", [0.5, 0.9, 0.98])
@pytest.mark.parametrize("kind", ["equal", "unequal", "one large"])
def test_the_interval_of_a_score_over_groups_covers(share, kind):
    for (groups, rows), (in_group, correlation) in product(
        ((5, 60), (14, 120), (50, 200)), ((0.1, 0.3), (0.4, 0.3), (0.9, 0.6))
    ):
        sizes = group_sizes(groups, rows, kind)
        world = World(share=share, sizes=sizes, templates=3, correlation=correlation, in_group=in_group)
        ends = score_intervals(draw(world, DATASETS, generator_of("test", world)), sizes)
        assert covered(ends, share) >= LOWEST - slack(LOWEST, DATASETS), world


@pytest.mark.parametrize("tasks", [((0.9, 60), (0.9, 60)), ((0.5, 100), (0.98, 30)), ((0.98, 30),) * 12])
def test_the_interval_of_a_mean_over_tasks_covers(tasks):
    generator, datasets, hits = generator_of("test", tasks), 500, 0
    for _ in range(datasets):
        means = []
        for share, rows in tasks:
            world = World(share=share, sizes=(1,) * rows, templates=4, correlation=0.3)
            means.append(clustered_mean(draw(world, 1, generator).T, span=SCORE, confidence=CONFIDENCE))
        whole = combine(Share(task=str(at), weight=1 / len(means), mean=mean) for at, mean in enumerate(means))
        ends = interval_of(whole, confidence=CONFIDENCE, span=SCORE)
        hits += ends.low <= np.mean([share for share, _ in tasks]) <= ends.high
    assert hits / datasets >= LOWEST - slack(LOWEST, datasets)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95, 0.98])
@pytest.mark.parametrize("rows", [30, 100, 200])
def test_two_equal_models_are_seldom_told_apart(share, rows):
    for (templates, correlation), shared in product(((1, 0.6), (4, 0.3), (10, 0.6)), (0.0, 0.9)):
        world = World(share=share, sizes=(1,) * rows, templates=templates, correlation=correlation)
        change = two_models(world, 2000, generator_of("test", world, shared), shared=shared)
        found = (difference_p(change, world.sizes)[0] < 0.05).mean()
        assert found <= 0.06 + slack(0.05, 2000) / 2, world
        if (change != 0.0).sum(axis=1).mean() >= 20:
            # Fewer rows that differ leave too few values possible: then fewer differences are found, never more.
            assert found >= 0.04 - slack(0.05, 2000) / 2, world


@pytest.mark.parametrize("kind", ["equal", "unequal", "one large"])
def test_two_equal_models_are_seldom_told_apart_on_groups_of_rows(kind):
    for (groups, rows), in_group in product(((5, 60), (14, 120), (50, 200)), (0.1, 0.4)):
        world = World(share=0.7, sizes=group_sizes(groups, rows, kind), templates=3, correlation=0.3, in_group=in_group)
        change = two_models(world, 2000, generator_of("test", world), shared=0.5)
        assert (difference_p(change, world.sizes)[0] < 0.05).mean() <= 0.06 + slack(0.05, 2000) / 2, world


@pytest.mark.parametrize("change", [np.zeros((30, 1)), np.zeros((1, 1)), np.full((6, 2), 0.5), np.eye(12)[:, :1]])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_an_interval_leaves_out_zero_exactly_when_the_p_value_is_small(change, confidence):
    mean = clustered_mean(change, span=DIFFERENCE, confidence=confidence)
    ends = t_interval(mean, confidence=confidence, span=DIFFERENCE)
    assert (not ends.low <= 0.0 <= ends.high) == (t_test_p(mean) < 1.0 - confidence)
    assert ends.high > ends.low


def test_the_simulation_computes_what_a_run_does():
    for world in (
        World(share=0.9, sizes=(1,) * 30, templates=3, correlation=0.5),
        World(share=0.7, sizes=(9, 4, 4, 2, 1), templates=3, correlation=0.5, in_group=0.2),
    ):
        generator, groups = generator_of("same", world), np.repeat(np.arange(len(world.sizes)), world.sizes)
        rows = draw(world, 20, generator)
        ends = score_intervals(rows, world.sizes)
        p_values, halves = difference_p(rows - rows[::-1], world.sizes)
        for at in range(len(rows)):
            mean = clustered_mean(rows[at][:, None], span=SCORE, confidence=CONFIDENCE, groups=groups)
            ours = interval_of(mean, confidence=CONFIDENCE, span=SCORE)
            assert (ours.low, ours.high) == pytest.approx((ends[0][at], ends[1][at]))
            change = (rows[at] - rows[::-1][at])[:, None]
            difference = clustered_mean(change, span=DIFFERENCE, confidence=CONFIDENCE, groups=groups)
            assert t_test_p(difference) == pytest.approx(p_values[at])
            wide = t_interval(difference, confidence=CONFIDENCE, span=(-math.inf, math.inf))
            assert wide.high - difference.value == pytest.approx(halves[at])
