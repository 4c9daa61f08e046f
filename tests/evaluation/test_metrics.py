from __future__ import annotations

import logging

import numpy as np
import pytest
import sacrebleu
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from flantune.errors import EvaluationError
from flantune.evaluation.metrics.bleu import bleu_statistics, corpus_bleu
from flantune.evaluation.metrics.by_name import find_metric, metric_names
from flantune.evaluation.metrics.normalizers import cut_like_flan, normalize_answer
from flantune.evaluation.metrics.rank_classification import NORMALIZATIONS, choose, option_scores
from flantune.evaluation.metrics.readable import check_readable
from flantune.evaluation.metrics.rouge import PieceTokenizer, _scorer_of_pieces, cross_lingual_rouge, rouge
from flantune.evaluation.metrics.texts import exact_match, token_f1
from flantune.tasks.taskfile_sections import METRICS
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
        # To SQuAD's script both are nothing, and so the same.
        ("the", ["a"], 0.0, 0.0),
        ("A", ["a"], 1.0, 1.0),
        ("anything", [], 0.0, 0.0),
    ],
)
def test_exact_match_and_token_f1_by_hand(prediction, references, match, f1):
    assert exact_match(prediction, references) == match
    assert token_f1(prediction, references) == pytest.approx(f1)


def test_rouge_is_the_library_with_the_best_reference_for_each_type():
    library = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=False)
    for prediction, references in zip(PREDICTIONS, REFERENCES, strict=True):
        ours = rouge(prediction, references)
        assert list(ours) == ["rouge1", "rouge2", "rougeL", "rougeLsum"]
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
    notes = np.array([[0.0, 0.0, 3.0], [1.0, 1.0, 3.0], [1.0, 2.0, 3.0], [2.0, 2.0, 3.0]])
    assert f1.score is not None
    assert f1.score(notes, np.ones((1, 4)))[0] == pytest.approx((1.0 + 2 / 3 + 2 / 3) / 3)
    # A replicate that asks for option 0 nowhere averages the other two.
    assert f1.score(notes, np.array([[0.0, 1.0, 1.0, 1.0]]))[0] == pytest.approx((2 / 3 + 2 / 3) / 2)


def test_an_unknown_metric_is_named_with_its_task():
    prepared = make_task({"test": color_examples(2)}, metrics=("acuracy",))
    with pytest.raises(EvaluationError, match="colors: metrics") as caught:
        check_readable(prepared.task, ())
    assert "accuracy" in caught.value.hint


NEEDS_A_TOKENIZER = {
    "instruction_rougeL_xlingual", "bleu:ja-mecab", "bleu:ko-mecab", "bleu:flores101", "bleu:flores200",
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in metric_names("generation") if n not in NEEDS_A_TOKENIZER])
def test_every_text_metric_gives_all_for_a_reference_and_nothing_for_another_text(name):
    metric = find_metric(name, "generation")

    def score(prediction):
        notes = metric.note(sample(prediction=prediction, references=("7 tall oak trees", "8 tall oak trees")), "sum")
        return notes[0] if metric.score is None else metric.score(np.array([notes]), np.ones((1, 1)))[0]

    assert score("8 tall oak trees") == pytest.approx(1.0)
    assert score("") == pytest.approx(0.0)
    for prediction, references in zip(PREDICTIONS, REFERENCES, strict=True):
        (value, *_) = metric.note(sample(prediction=prediction, references=tuple(references)), "sum")
        assert metric.score is not None or 0.0 <= value <= 1.0


def test_the_task_files_know_every_metric_by_the_same_name():
    assert set(METRICS) == {*metric_names("classification"), *metric_names("generation")}


@pytest.mark.parametrize("ties", ["first", "expected"])
def test_tied_options_go_to_the_first_or_share_the_credit(ties):
    tied = sample(options=("x", "y", "z"), answer=1, references=("y",), scores=(-1.0, -1.0, -3.0), lengths=(1, 1, 1))
    lost = sample(options=("x", "y", "z"), answer=2, references=("z",), scores=(-1.0, -1.0, -3.0), lengths=(1, 1, 1))
    accuracy = find_metric("accuracy", "classification")
    assert accuracy.noted(tied, "sum", ties) == ((0.0,) if ties == "first" else (0.5,))
    assert accuracy.noted(lost, "sum", ties) == (0.0,)


def test_a_metric_by_reference_takes_every_right_option():
    """ReCoRD: a name and its short form are both right, and overlap counts for F1."""
    options = ("Orla Finn", "Petra Novak", "Finn", "Finn Harbor")

    def chosen(index):
        scores = tuple(-1.0 if at == index else -2.0 for at in range(4))
        return sample(options=options, answer=0, references=("Orla Finn", "Finn"), scores=scores, lengths=(2,) * 4)

    exact, f1, accuracy = (find_metric(name, "classification") for name in ("exact_match", "token_f1", "accuracy"))
    assert [exact.note(chosen(at), "sum")[0] for at in range(4)] == [1.0, 0.0, 1.0, 0.0]
    assert [accuracy.note(chosen(at), "sum")[0] for at in range(4)] == [1.0, 0.0, 0.0, 0.0]
    assert [f1.note(chosen(at), "sum")[0] for at in range(4)] == pytest.approx([1.0, 0.0, 1.0, 2 / 3])
    assert (exact.chance(chosen(0)), accuracy.chance(chosen(0))) == (0.5, 0.25)
    assert f1.chance(chosen(0)) == pytest.approx((1 + 0 + 1 + 2 / 3) / 4)


def test_grades_are_numbers_and_letters_count_by_place():
    grades = find_metric("pearson", "classification")
    shuffled = ("5", "0", "3", "1", "2", "4")
    scores = (-9.0, -9.0, -1.0, -9.0, -9.0, -9.0)
    numbers = sample(options=shuffled, answer=0, references=("5",), scores=scores, lengths=(1,) * 6)
    assert grades.note(numbers, "sum") == (5.0, 3.0, 0.0, 2.0, 1.0)
    letters = sample(options=("(A)", "(B)"), answer=1, references=("(B)",), scores=(-1.0, -2.0), lengths=(1, 1))
    assert grades.note(letters, "sum") == (1.0, 0.0, 1.0, 0.0, 0.0)


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_numbers_and_places_are_never_correlated_with_each_other(name):
    """One row whose options are words, and all rows count by place; else all count by number."""
    metric = find_metric(name, "classification")

    def row(options, gold, chosen):
        scores = tuple(0.0 if at == chosen else -1.0 for at in range(len(options)))
        made = sample(options=options, answer=gold, references=(options[gold],), scores=scores, lengths=(1,) * 3)
        return metric.note(made, "sum")

    def score(*rows):
        assert metric.score is not None
        return metric.score(np.array(rows), np.ones((1, len(rows))))[0]

    high, low = ("10", "20", "90"), ("30", "20", "10")
    by_number = score(row(high, 0, 0), row(high, 1, 2), row(low, 0, 1), row(low, 2, 2))
    in_words = [row(("poor", "fair", "good"), 2, 2)]
    by_place = score(row(high, 0, 0), row(high, 1, 2), row(low, 0, 1), row(low, 2, 2), *in_words)
    places = np.array([[0, 0], [1, 2], [0, 1], [2, 2], [2, 2]], dtype=float)
    values = np.array([[10, 10], [20, 90], [30, 20], [10, 10]], dtype=float)
    plain = {"pearson": scipy.stats.pearsonr, "spearman": scipy.stats.spearmanr}[name]
    assert by_number == pytest.approx(plain(*values.T).statistic)
    assert by_place == pytest.approx(plain(*places.T).statistic)


def test_flans_post_processing_cuts_answers():
    assert cut_like_flan("** Paris\nQ: and of Spain?\nMadrid") == "Paris"
    assert cut_like_flan("cold tea Concepts: a, b") == "cold tea"
    assert cut_like_flan("12") == "12"
    assert cut_like_flan("Q: What?") == ""


def test_cross_lingual_rouge_reads_pieces_without_their_word_mark():
    class Words:
        def tokenize(self, text):
            return [f"Ġ{word}" if at else word for at, word in enumerate(text.split())]

    scorer = RougeScorer(["rougeL"], tokenizer=PieceTokenizer(Words()))
    assert scorer.score("мир и труд", "и труд")["rougeL"].fmeasure == pytest.approx(0.8)


def test_cross_lingual_rouge_without_its_tokenizer_says_what_to_do(monkeypatch):
    from transformers import AutoTokenizer

    asked = []

    def missing(name):
        asked.append(name)
        raise OSError(name)

    _scorer_of_pieces.cache_clear()
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", missing)
    for _ in range(2):
        with pytest.raises(EvaluationError, match="GPT-2's tokenizer"):
            cross_lingual_rouge("a", ["a"])
    assert asked == ["gpt2"]  # without a network each attempt takes a minute
    _scorer_of_pieces.cache_clear()
