from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.system.keyed_random import mix64, scramble, stream_key


def test_scramble_is_the_splitmix64_finalizer() -> None:
    # First outputs of SplitMix64 seeded with 0: the finalizer of the golden ratio's multiples.
    golden = 0x9E3779B97F4A7C15
    assert [scramble(golden * n % 2**64) for n in (1, 2, 3)] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
    ]


def test_keys_are_pinned_so_that_a_stream_stays_what_it_is() -> None:
    assert stream_key(0, "rte", "template") == PINNED_KEY
    assert mix64(1, 2, 3) == PINNED_HASH


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
@settings(max_examples=50)
def test_streams_of_different_names_have_different_keys(one: list[str], other: list[str]) -> None:
    assert (stream_key(0, *one) == stream_key(0, *other)) == (one == other)


PINNED_KEY = 9099048714529521525
PINNED_HASH = 5246500226706903259
