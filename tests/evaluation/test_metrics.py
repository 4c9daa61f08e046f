from __future__ import annotations

import logging

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from flantune.errors import EvaluationError
from flantune.evaluation.answers import normalize_answer
from flantune.evaluation.metrics import check_metrics, find_metric
from flantune.evaluation.rank import NORMALIZATIONS, choose, option_scores
from flantune.evaluation.texts import bleu_statistics, corpus_bleu, exact_match, rouge, token_f1
from flantune.types import Sample

from .made import choice_sample, color_examples, make_task

PREDICTIONS = ["the cat sat on the mat", "a dog, barked loudly!", "", "Guten Morgen", "it is a very very long story"]
REFERENCES = [
    ["the cat sat on a mat", "a cat was on the mat"],
    ["the dog barked"],
    ["nothing", "nil"],
    ["Guten Abend, Welt"],
    ["it was a very long and sad story"],
]


def sample(**changes) -> Sample:
    values = {"task": "t", "split": "test", "row": 0, "template": "a", "shots": 0, "inputs": "x"}
    return Sample(**{**values, **changes})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Beatles!", "beatles"),
        ("an apple a day", "apple day"),
        ("A.", ""),
        ("don't", "dont"),
        ("Theatre", "theatre"),
        ("¿Qué?", "¿qué"),
        ("\tone\n two ", "one two"),
    ],
)
def test_answers_are_compared_as_squad_does(text, expected):
    assert normalize_answer(text) == expected


@given(st.text(max_size=40))
def test_normalizing_twice_changes_nothing_but_articles_laid_bare(text):
    once = normalize_answer(text)
    assert once == " ".join(once.split())
    assert not set(once) & set("!,.?ABC")


@pytest.mark.parametrize(
    ("prediction", "references", "match", "f1"),
    [
        ("The Nile", ["nile"], 1.0, 1.0),
        ("river Nile", ["the nile", "the river nile"], 1.0, 1.0),
        ("blue whale", ["a blue car"], 0.0, 0.5),
        # Repeated words count as often as they occur: 1 in common of 3 said and 1 wanted.
        ("no no no", ["no"], 0.0, 0.5),
        ("cat", ["dog"], 0.0, 0.0),
        ("", ["dog"], 0.0, 0.0),
        ("the", ["a"], 1.0, 1.0),
        ("anything", [], 0.0, 0.0),
    ],
)
def test_exact_match_and_token_f1_by_hand(prediction, references, match, f1):
    assert exact_match(prediction, references) == match
    assert token_f1(prediction, references) == pytest.approx(f1)


def test_rouge_is_the_library_with_the_best_reference_for_each_type():
    library = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    for prediction, references in zip(PREDICTIONS, REFERENCES, strict=True):
        ours = rouge(prediction, references)
        for name in ours:
            best = max(library.score(reference, prediction)[name].fmeasure for reference in references)
            assert ours[name] == pytest.approx(best)
    # Five of six words in order, both six long.
    assert rouge("the cat sat on the mat", ["the cat sat on a mat"])["rougeL"] == pytest.approx(5 / 6)


def test_corpus_bleu_is_sacrebleu():
    statistics = np.array([bleu_statistics(p, r) for p, r in zip(PREDICTIONS, REFERENCES, strict=True)])
    streams = [[r[min(k, len(r) - 1)] for r in REFERENCES] for k in range(2)]
    library = sacrebleu.corpus_bleu(
        PREDICTIONS, streams, tokenize="intl", smooth_method="exp", use_effective_order=False
    )
    assert library.score > 1.0
    assert corpus_bleu(statistics, np.ones((1, 5)))[0] == pytest.approx(library.score / 100, abs=1e-9)


def test_a_weighted_bleu_is_that_of_the_repeated_corpus():
    statistics = np.array([bleu_statistics(p, r) for p, r in zip(PREDICTIONS, REFERENCES, strict=True)])
    weights = np.array([[2.0, 0.0, 1.0, 1.0, 1.0]])
    repeated = statistics[[0, 0, 2, 3, 4]]
    assert corpus_bleu(statistics, weights)[0] == pytest.approx(corpus_bleu(repeated, np.ones((1, 5)))[0])


def test_bleu_does_not_warn_at_every_sentence(caplog):
    with caplog.at_level(logging.WARNING):
        bleu_statistics("one", ["one"])
    assert not caplog.records


def test_normalization_can_change_the_answer():
    long_option = sample(options=("no", "certainly not", "ñññ"), answer=1, scores=(-3.0, -6.0, -2.9), lengths=(1, 6, 1))
    chosen = {name: choose(option_scores(long_option, name)).index for name in NORMALIZATIONS}
    assert chosen == {"sum": 2, "token": 1, "character": 1, "byte": 1}
    # ñ is one character and two bytes.
    two = sample(options=("ñññ", "abcd"), answer=0, scores=(-6.0, -7.0), lengths=(3, 4))
    assert option_scores(two, "character") == pytest.approx((-2.0, -1.75))
    assert option_scores(two, "byte") == pytest.approx((-1.0, -1.75))
    accuracy = find_metric("accuracy", "classification")
    assert [accuracy.note(two, name)[0] for name in NORMALIZATIONS] == [1.0, 0.0, 0.0, 1.0]


def test_ties_go_to_the_first_option_and_are_seen():
    assert choose((-1.0, -1.0, -5.0)) == choose((-1.0, -1.0 + 1e-9, -5.0))
    assert (choose((-2.0, -1.0, -1.0)).index, choose((-2.0, -1.0, -1.0)).is_tie) == (1, True)
    assert not choose((-1.0, -1.001)).is_tie
    # Noise of float32 in long sums is no preference.
    assert choose((-1234.5678, -1234.5677)).is_tie
    assert choose((-4.0,)).index == 0


@given(st.lists(st.floats(-50, 0), min_size=1, max_size=6))
def test_the_choice_is_a_best_option(scores):
    choice = choose(scores)
    assert scores[choice.index] >= max(scores) - 1e-4
    assert choice.index == min(i for i, s in enumerate(scores) if max(scores) - s <= max(1e-5, 1e-6 * abs(max(scores))))


def test_f1_of_two_options_is_that_of_the_second():
    # Gold is always option 1: 3 hits, 1 miss, so precision 1 and recall 3/4.
    samples = [choice_sample(row, right=row != 0) for row in range(4)]
    f1 = find_metric("f1", "classification")
    notes = np.array([f1.note(s, "sum") for s in samples])
    assert f1.score is not None
    assert f1.score(notes, np.ones((1, 4)))[0] == pytest.approx(2 * 3 / (3 + 4))


def test_f1_of_three_options_is_the_mean_of_their_f1():
    f1 = find_metric("f1", "classification")
    notes = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 2.0], [2.0, 2.0]])
    assert f1.score is not None
    assert f1.score(notes, np.ones((1, 4)))[0] == pytest.approx((1.0 + 2 / 3 + 2 / 3) / 3)
    # A replicate in which option 0 neither occurs nor is chosen averages the other two.
    assert f1.score(notes, np.array([[0.0, 1.0, 1.0, 1.0]]))[0] == pytest.approx((2 / 3 + 2 / 3) / 2)


def test_an_unknown_metric_is_named_with_its_task():
    prepared = make_task({"test": color_examples(2)}, metrics=("acuracy",))
    with pytest.raises(EvaluationError, match="colors: metrics") as caught:
        check_metrics(prepared.task)
    assert "accuracy" in caught.value.hint


def test_all_metrics_lie_between_zero_and_one():
    for name in ("exact_match", "f1", "token_f1", "rouge1", "rouge2", "rougeL"):
        metric = find_metric(name, "generation")
        for prediction, references in zip(PREDICTIONS, REFERENCES, strict=True):
            (value,) = metric.note(sample(prediction=prediction, references=tuple(references)), "sum")
            assert 0.0 <= value <= 1.0
