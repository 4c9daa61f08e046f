from __future__ import annotations

import random

import numpy as np
import pytest

from flantune.contamination.compare import compare
from flantune.contamination.duplicates import jaccard_index, shingles_of
from flantune.contamination.findings import Settings
from flantune.contamination.minhash import band_keys, choose_bands
from flantune.contamination.words import split_words

from .conftest import make_prepared

# n-grams so long that they cannot match: what is found here are near duplicates alone.
ONLY_DUPLICATES = Settings(ngram=200, min_ngram=8)


def shingles(text):
    return shingles_of(split_words(text), 3)


def test_a_row_with_one_word_changed_is_a_near_duplicate(prepared, sentence):
    text = sentence("s", 40)
    changed = text.replace("s20", "changed")
    expected = jaccard_index(shingles(f"{text} yes"), shingles(f"{changed} yes"))
    assert 0.8 < expected < 1
    found = compare([prepared("a", train=["x", changed])], [prepared("b", test=[text])], settings=ONLY_DUPLICATES)
    task = found.tasks[0]
    assert (task.duplicates, task.overlapping, task.dirty) == (1, 0, (0,))
    assert [(one.task, one.duplicates) for one in task.training] == [("a", 1)]
    assert task.examples[0].jaccard == pytest.approx(expected)
    assert task.examples[0].train_row == 10
    assert found.train[0].dirty == (10,)


def test_the_threshold_is_the_exact_jaccard_index(prepared, sentence):
    text, other = sentence("s", 40), sentence("s", 36) + " " + sentence("t", 4)
    similarity = jaccard_index(shingles(f"{text} yes"), shingles(f"{other} yes"))
    for threshold, expected in ((similarity, 1), (similarity + 1e-9, 0)):
        settings = Settings(ngram=200, jaccard=threshold)
        found = compare([prepared("a", train=[other])], [prepared("b", test=[text])], settings=settings)
        assert found.tasks[0].duplicates == expected


def test_repeated_words_do_not_hide_a_duplicate(prepared, sentence):
    """Shingles count once, so a row may repeat one of its own a thousand times and still say the same."""
    text = sentence("s", 60)
    train = f"{text} yes {'ha ' * 1000}"
    assert jaccard_index(shingles(f"{text} yes"), shingles(f"{train} yes")) > 0.8
    found = compare([prepared("a", train=[train])], [prepared("b", test=[text])], settings=ONLY_DUPLICATES)
    assert found.tasks[0].duplicates == 1


def test_every_training_row_of_a_cluster_of_copies_is_left_out(prepared, sentence):
    text = sentence("s", 30)
    found = compare([prepared("a", train=[text] * 25)], [prepared("b", test=[text] * 7)], settings=ONLY_DUPLICATES)
    assert found.tasks[0].duplicates == 7
    assert len(found.train[0].dirty) == 25


def test_rows_too_short_to_judge_are_counted_not_compared(prepared):
    found = compare([prepared("a", train=["it is so"])], [prepared("b", test=["it is so"])])
    assert (found.tasks[0].duplicates, found.tasks[0].too_short) == (0, 1)


@pytest.mark.parametrize("seed", range(2))
def test_agrees_with_comparing_all_pairs(seed):
    draw = random.Random(seed)
    base = [[f"w{draw.randrange(300)}" for _ in range(draw.randint(10, 50))] for _ in range(40)]

    def noisy():
        return [" ".join(w if draw.random() > 0.04 else "noise" for w in text) for text in base]

    train, test = noisy(), noisy()
    expected = [
        10 * k
        for k, one in enumerate(test)
        if any(jaccard_index(shingles(f"{one} yes"), shingles(f"{other} yes")) >= 0.8 for other in train)
    ]
    found = compare([make_prepared("a", train=train)], [make_prepared("b", test=test)], settings=ONLY_DUPLICATES)
    assert 0 < len(expected) < len(base)
    assert list(found.tasks[0].dirty) == expected


def test_buckets_meet_as_often_as_the_formula_says():
    draw = np.random.default_rng(0)
    bands, pairs, size = choose_bands(0.8), 400, 60
    one = draw.integers(0, 2**64, size=(pairs, size), dtype=np.uint64)
    other = one.copy()
    other[:, : size // 4] = draw.integers(0, 2**64, size=(pairs, size // 4), dtype=np.uint64)  # J = 45 / 75
    firsts = np.arange(pairs + 1) * size
    keys = [band_keys(side.ravel(), firsts, bands=bands, seed=3) for side in (one, other)]
    share = (keys[0] == keys[1]).any(axis=1).mean()
    assert share == pytest.approx(bands.recall(0.6), abs=0.08)


def test_another_seed_chooses_other_functions_and_finds_the_same(prepared, sentence):
    text = sentence("s", 30)
    firsts, hashes = np.array([0, 30]), np.arange(30, dtype=np.uint64)
    bands = choose_bands(0.8)
    keys = [band_keys(hashes, firsts, bands=bands, seed=seed) for seed in (0, 0, 1)]
    assert (keys[0] == keys[1]).all()
    assert not (keys[0] == keys[2]).any()
    sides = [prepared("a", train=[text])], [prepared("b", test=[text])]
    found = [compare(*sides, settings=Settings(seed=seed)) for seed in (0, 1)]
    assert found[0] == found[1]
