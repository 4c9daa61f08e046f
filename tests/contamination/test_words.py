from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flantune.contamination.hashing import make_filter, prefix_sums
from flantune.contamination.words import read_words, split_words

TEXTS = st.lists(st.text(max_size=40) | st.text("aAbé'- .\n中か\u0301ﬁİ", max_size=30), max_size=8)


@settings(max_examples=50, deadline=None)
@given(TEXTS)
@example(["", " ", "İ", "\ud800x", "\x00a\x1cb", "ＡＢＣ", "한국어 text"])
def test_block_reading_agrees_with_plain_python(texts):
    words = read_words(texts)
    for number, text in enumerate(texts):
        assert words.strings(*words.firsts[[number, number + 1]].tolist()) == split_words(text)


@settings(max_examples=50, deadline=None)
@given(TEXTS)
def test_words_hash_alike_exactly_when_they_are_alike(texts):
    words = read_words(texts)
    strings = words.strings(0, len(words.hashes))
    by_word = dict(zip(strings, words.hashes.tolist(), strict=True))
    assert [by_word[word] for word in strings] == words.hashes.tolist()
    assert len(set(by_word.values())) == len(by_word)


def test_anagrams_and_long_words_hash_apart():
    words = ["listen", "silent", "enlist", "ab" * 500, "ba" * 500, "a" * 64 + "b", "b" + "a" * 64]
    assert len(set(read_words(words).hashes.tolist())) == len(words)


def test_punctuation_and_case_do_not_count():
    assert split_words("“Don't,” she said — TWICE.") == ["dont", "she", "said", "twice"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 6))
def test_windows_hash_alike_exactly_when_they_hold_the_same(values, length):
    hashes = prefix_sums(np.array(values, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)).windows(length).tolist()
    windows = [tuple(values[k : k + length]) for k in range(len(values) - length + 1)]
    assert len(hashes) == len(windows)
    seen = dict(zip(windows, hashes, strict=True))
    assert [seen[window] for window in windows] == hashes
    assert len(set(seen.values())) == len(seen)


def test_filter_never_misses_and_seldom_errs():
    numbers = np.random.default_rng(0).integers(0, 2**64, size=(2, 20_000), dtype=np.uint64)
    held = make_filter(numbers[0])
    assert held.may_hold(numbers[0]).all()
    assert held.may_hold(numbers[1]).mean() < 0.05
