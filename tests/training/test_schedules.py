from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from flantune.settings.config import TrainingSettings
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


def test_inverse_square_root_holds_the_peak_and_then_falls():
    found = rates(steps=16, schedule="inverse_sqrt", inverse_sqrt_after=4)
    assert found[:4] == [1.0] * 4
    assert found[8] == pytest.approx(2 / 3)
    assert found[15] == pytest.approx(0.5)


def test_inverse_square_root_with_a_warm_up_has_no_jump():
    found = rates(steps=64, schedule="inverse_sqrt", inverse_sqrt_after=1, warmup_steps=16)
    assert found[15] == 1.0
    assert found[16] == pytest.approx((16 / 17) ** 0.5)
    assert found[63] == pytest.approx(0.5)


def test_t5_was_pretrained_with_one_over_the_root_of_the_step():
    settings = TrainingSettings(schedule="inverse_sqrt", learning_rate=0.01)
    for step in (1, 9_999, 10_000, 10_001, 524_288):
        assert learning_rate(step, settings) == pytest.approx(max(step, 10_000) ** -0.5)


@hypothesis_settings(max_examples=50, deadline=None)
@given(
    steps=st.integers(1, 60),
    warmup=st.integers(0, 80),
    schedule=st.sampled_from(["constant", "linear", "cosine", "inverse_sqrt"]),
)
def test_every_rate_is_above_zero_and_at_most_the_peak(steps, warmup, schedule):
    found = rates(steps=steps, warmup_steps=warmup, schedule=schedule, inverse_sqrt_after=5)
    assert all(0 < rate <= 1 for rate in found)
    risen = found[: min(warmup, steps)]
    assert risen == sorted(risen)
    assert found[warmup:] == sorted(found[warmup:], reverse=True)
