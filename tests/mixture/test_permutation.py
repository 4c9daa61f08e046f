from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from flantune.mixture.permutation import mix64_array, permute, permute_array
from flantune.system.keyed_random import mix64

keys = st.integers(0, 2**64 - 1)


@given(size=st.integers(1, 700), key=keys)
@settings(max_examples=50)
def test_a_permutation_of_any_size_hits_every_place_once(size: int, key: int) -> None:
    assert sorted(permute_array(np.arange(size), size, key).tolist()) == list(range(size))


@given(items=st.lists(st.tuples(st.integers(0, 2**52 - 2), st.integers(1, 2**40), keys), min_size=1, max_size=8))
@settings(max_examples=50)
def test_one_by_one_and_all_at_once_agree(items: list[tuple[int, int, int]]) -> None:
    indices = [index for index, _, _ in items]
    sizes = [index + more for index, more, _ in items]
    key = np.array([key for _, _, key in items], dtype=np.uint64)
    scalar = [permute(*item) for item in zip(indices, sizes, key.tolist(), strict=True)]
    assert permute_array(indices, sizes, key).tolist() == scalar
    assert all(0 <= place < size for place, size in zip(scalar, sizes, strict=True))


@given(words=st.lists(keys, min_size=1, max_size=4))
@settings(max_examples=50)
def test_hashes_one_by_one_and_all_at_once_agree(words: list[int]) -> None:
    assert mix64_array(*words).tolist() == [mix64(*words)]
    assert mix64_array(np.array(words, dtype=np.uint64), words[0]).tolist() == [mix64(word, words[0]) for word in words]


@pytest.mark.parametrize(("index", "size"), [(-1, 5), (5, 5), (0, 0)])
def test_an_index_outside_the_range_is_an_error(index: int, size: int) -> None:
    with pytest.raises(IndexError):
        permute(index, size, 1)
    with pytest.raises(IndexError):
        permute_array([index], size, 1)


@pytest.mark.parametrize("size", [7, 10, 50, 64])
def test_items_go_to_all_places_and_pairs_to_all_pairs_equally_often(size: int) -> None:
    key = mix64_array(11, np.arange(20_000))
    first, second, last = (permute_array(np.full(len(key), item), size, key) for item in (0, 1, size - 1))
    for places in (first, second, last):
        assert chisquare(np.bincount(places, minlength=size)).pvalue > 1e-4
    pairs = np.bincount(first * size + second, minlength=size * size).reshape(size, size)
    assert (np.diag(pairs) == 0).all()
    assert chisquare(pairs[~np.eye(size, dtype=bool)]).pvalue > 1e-4


def test_a_shuffle_leaves_no_trace_of_the_order() -> None:
    order = permute_array(np.arange(30_000), 30_000, 5)
    assert abs(np.corrcoef(order, np.arange(30_000))[0, 1]) < 0.03
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.03
    # Each twentieth of the stream holds its share of each tenth of the range.
    table = np.array([np.bincount(part * 10 // 30_000, minlength=10) for part in np.split(order, 20)])
    assert chisquare(table.ravel()).pvalue > 1e-4


def test_places_are_pinned_so_that_a_stream_stays_what_it_is() -> None:
    assert [permute(index, 10, 7) for index in range(10)] == PINNED_TEN
    assert [permute(index, 1_000_003, 2**63 + 5) for index in range(4)] == PINNED_LARGE


PINNED_TEN = [5, 9, 7, 2, 1, 4, 6, 8, 0, 3]
PINNED_LARGE = [484830, 926998, 408236, 492666]
