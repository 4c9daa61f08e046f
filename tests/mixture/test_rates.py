from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.mixture.rates import capped_size, effective_epochs, quotas, shares

sizes = st.lists(st.integers(1, 10**7), min_size=1, max_size=30)


@given(sizes=sizes, maximum=st.integers(0, 10**5), cap=st.integers(0, 10**5), draws=st.integers(0, 10**6))
@settings(max_examples=50)
def test_rates_sum_to_one_and_epochs_add_up_to_the_draws(sizes: list[int], maximum: int, cap: int, draws: int) -> None:
    capped = [capped_size(size, max_examples=cap) for size in sizes]
    for rates in ("examples-proportional", "equal"):
        quota = quotas(capped, max_rate=maximum, rates=rates)
        assert sum(shares(quota)) == pytest.approx(1)
        seen = effective_epochs(capped, quota, draws=draws)
        assert sum(epochs * size for epochs, size in zip(seen, capped, strict=True)) == pytest.approx(draws)


@given(sizes=sizes, maximum=st.integers(1, 10**5))
@settings(max_examples=50)
def test_no_task_has_more_weight_than_the_maximum_nor_than_its_size(sizes: list[int], maximum: int) -> None:
    for quota, size in zip(quotas(sizes, max_rate=maximum), sizes, strict=True):
        assert 1 <= quota == min(size, maximum)


def test_zero_means_no_cap_and_no_maximum() -> None:
    assert capped_size(10**6, max_examples=0) == 10**6
    assert quotas([10**6, 5], max_rate=0) == (10**6, 5)
