"""Options that tell by their looks which of them is right, and options that only look as if they did."""

from __future__ import annotations

import random

import pytest

from flantune.prompts.giveaways import option_findings
from flantune.types import Example

WORDS = (
    "river", "lantern", "orchard", "engine", "violin", "harbor", "copper", "meadow", "saddle", "thunder", "candle",
    "pepper", "anchor", "winter", "bridge", "castle", "garden", "ladder", "needle", "pillow", "rocket", "summer",
)  # fmt: skip


def rows(count, make, *, options=4, seed=0, place=None):
    """Rows of options that are random phrases, the right one in a random place, as ``make`` changes them."""
    rng = random.Random(seed)
    found = []
    for row in range(count):
        gold = rng.randrange(options) if place is None else place % options
        texts = make([" ".join(rng.choices(WORDS, k=3)) for _ in range(options)], gold)
        found.append(Example(row=row, fields={}, options=tuple(texts), answer=gold, references=(texts[gold],)))
    return found


def changed(only_gold=None, only_others=None):
    def make(texts, gold):
        for at, text in enumerate(texts):
            change = only_gold if at == gold else only_others
            texts[at] = change(text) if change else text
        return texts

    return make


def said(make_task, examples) -> list[str]:
    found = list(option_findings(make_task(), examples))
    assert all(one.severity == "warning" and one.hint for one in found)
    return [f"{one.rule}: {one.message}" for one in found]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (changed(lambda text: text + " and then some more of it"), "the right option is the longest one"),
        (changed(None, lambda text: text + " and then some more of it"), "the right option is the shortest one"),
        (changed(str.capitalize), "begins with a capital letter"),
        (changed(None, str.capitalize), "begins with a lowercase letter"),
        (changed(lambda text: text[:-1] + text[-1].upper()), "has a capital letter"),
        (changed(str.upper, str.capitalize), "is all in capital letters"),
        (changed(None, str.upper), "has a lowercase letter"),
        (changed(lambda text: f"*{text}"), "begins with a punctuation mark"),
        (changed(None, lambda text: f"“{text}”"), "begins without a punctuation mark"),
        (changed(lambda text: text + "."), "ends with a punctuation mark"),
        (changed(lambda text: text + "。"), "ends with a punctuation mark"),
        (changed(None, lambda text: text + "!"), "ends without a punctuation mark"),
    ],
)
@pytest.mark.parametrize("options", [2, 4])
def test_a_mark_of_the_right_option_is_told(make_task, make, words, options):
    found = said(make_task, rows(30, make, options=options))
    assert any(words in text for text in found), found


@pytest.mark.parametrize(
    ("space", "where"), [(" ", "front"), ("\t", "back"), ("\u00a0", "back"), ("\u200b", "front"), ("  ", "back")]
)
@pytest.mark.parametrize("whose", ["gold", "others"])
def test_white_space_that_cannot_be_seen_is_told_from_the_first_row_on(make_task, space, where, whose):
    def spaced(text):
        return space + text if where == "front" else text + space

    make = changed(spaced, None) if whose == "gold" else changed(None, spaced)
    (text,) = said(make_task, rows(3, make))
    assert text.startswith("option-white-space") and "white space" in text
    assert "in 3 of 3 rows" in text and "in 3 of them that tells the right one" in text


def test_white_space_at_every_option_tells_nothing(make_task):
    assert said(make_task, rows(30, changed(lambda text: f" {text}", lambda text: f" {text}"))) == []


@pytest.mark.parametrize(("place", "words"), [(0, "number 1 in 40 of 40"), (2, "number 3 in 40 of 40")])
def test_one_place_for_every_right_option_is_told(make_task, place, words):
    (text,) = said(make_task, rows(40, changed(), place=place))
    assert words in text


def test_the_last_place_is_told_though_rows_have_different_numbers_of_options(make_task):
    mixed = [*rows(20, changed(), options=3, place=2, seed=1), *rows(20, changed(), options=5, place=4, seed=2)]
    assert any("the last one in 40 of 40" in text for text in said(make_task, mixed))


def test_an_option_that_is_there_twice_is_told(make_task):
    def twin(texts, gold):
        texts[(gold + 1) % len(texts)] = texts[gold].replace(" ", "  ")
        return texts

    assert any(text.startswith("option-twice: in 5 of 5 rows") for text in said(make_task, rows(5, twin)))
    # A wrong option twice in one row of many is the data's own slip, and tells nothing.
    one = Example(row=99, fields={}, options=("a", "b", "b", "c"), answer=0, references=("a",))
    assert said(make_task, [*rows(200, changed()), one]) == []


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("options", [2, 3, 5])
def test_options_without_a_mark_are_left_alone(make_task, seed, options):
    """Capitals, full stops and lengths that fall as they fall."""
    rng = random.Random(seed)

    def dressed(texts, gold):
        return [
            "".join((text.capitalize() if rng.random() < 0.5 else text, rng.choice((".", "", "?")))) for text in texts
        ]

    for count in (5, 20, 200):
        assert said(make_task, rows(count, dressed, options=options, seed=seed)) == []


def test_a_preference_is_no_giveaway(make_task):
    """In three rows of four the right option is the longest: so it is in many a dataset."""
    rng = random.Random(3)
    lengthen = changed(lambda text: text + " and more of it" if rng.random() < 0.75 else text)
    assert said(make_task, rows(300, lengthen)) == []


def test_labels_of_a_task_may_differ_in_length_case_and_marks(make_task):
    labels = ("No", "Yes, it does follow.", "maybe")
    fixed = [Example(row=row, fields={}, options=labels, answer=1, references=(labels[1],)) for row in range(40)]
    assert said(make_task, fixed) == []


def test_few_rows_prove_nothing_but_white_space(make_task):
    assert said(make_task, rows(3, changed(str.capitalize))) == []
