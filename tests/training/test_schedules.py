from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from flantune.config import TrainingSettings
from flantune.training.schedules import learning_rate


def rates(**values):
    settings = TrainingSettings(learning_rate=1.0, **values)
    return [learning_rate(step, settings) for step in range(1, settings.steps + 1)]


def test_constant_is_constant_from_the_first_step():
    assert rates(steps=4, schedule="constant") == [1.0] * 4


def test_warm_up_reaches_the_peak_at_its_last_step():
    assert rates(steps=6, schedule="constant", warmup_steps=4) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_linear_would_reach_zero_one_step_after_the_last():
    assert rates(steps=4, schedule="linear") == [1.0, 0.75, 0.5, 0.25]


def test_cosine_is_half_at_half_time():
    found = rates(steps=10, schedule="cosine", warmup_steps=2)
    assert found[2] == 1.0
    assert found[6] == pytest.approx(0.5)
    assert found[9] == pytest.approx(0.5 * (1 + math.cos(math.pi * 7 / 8)))


@hypothesis_settings(max_examples=50, deadline=None)
@given(
    steps=st.integers(1, 60),
    warmup=st.integers(0, 80),
    schedule=st.sampled_from(["constant", "linear", "cosine"]),
)
def test_every_rate_is_above_zero_and_at_most_the_peak(steps, warmup, schedule):
    found = rates(steps=steps, warmup_steps=warmup, schedule=schedule)
    assert all(0 < rate <= 1 for rate in found)
    risen = found[: min(warmup, steps)]
    assert risen == sorted(risen)
    assert found[warmup:] == sorted(found[warmup:], reverse=True)
