"""Scores agree to the last digit with the libraries, and with the official scripts written down again here.

The scripts below are straight restatements of what SQuAD v1.1, TriviaQA, DROP and Natural-Instructions publish, made
without any function of flantune's, so that a slip in one shows against the other. Golds of which a script leaves
nothing are the one exception: by the scripts silence is right there (``test_vanishing_answers.py``).
"""

from __future__ import annotations

import itertools
import random
import re
import string
from collections import Counter

import numpy as np
import pytest
import sacrebleu
from nltk.stem.porter import PorterStemmer
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU

from flantune.evaluation.metrics.bleu import bleu_signature, bleu_statistics, corpus_bleu
from flantune.evaluation.metrics.drop import drop_score
from flantune.evaluation.metrics.rouge import instruction_rouge, rouge
from flantune.evaluation.metrics.texts import (
    exact_match,
    instruction_exact_match,
    token_f1,
    trivia_exact_match,
    trivia_f1,
)

AWKWARD = [
    "", " ", "the", "A", "a an the", "The U.S.-led coalition's 3,000 men", "don't", "Beyoncé’s “Halo”", "naïve café",
    "3.50", "$1,200.75", "-7", "1e3", "nan", "twenty-one", "10-3", "3 touchdowns and 4 field-goals", "北京、上海。",
    "Привет, мир!", "a-the-an", "THE END.", "an\ttab\nand\u00a0no-break", "___", "under_score", "`quoted´ ‘text’",
    "Smith, Jones", "Jones, Smith", "Smith", "Jones", "running runs ran", "cats and dogs", "cat and dog",
    "It rained . Then it stopped .", "no no no", "no", "Dr. Who?", "l'État, c'est moi", "½ cup", "²", "１２",
    "word " * 30, "İstanbul", "ﬁne", "\u200bzero width", "1,000", "1000", "1000.0", ".5", "5.", "+5", "5%",
]  # fmt: skip
PAIRS = list(itertools.product(AWKWARD, AWKWARD))


def pairs(clean) -> list[tuple[str, str]]:
    """Pairs of said and wanted without those whose gold vanishes."""
    kept = [(said, wanted) for said, wanted in PAIRS if clean(wanted) or not wanted.strip()]
    assert len(PAIRS) - len(kept) <= 5 * len(AWKWARD)
    return kept


# SQuAD v1.1, evaluate-v1.1.py, and TriviaQA's, which differs in its normalizer alone. --------------------------------


def squad_text(text: str) -> str:
    kept = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def trivia_text(text: str) -> str:
    marks = set(string.punctuation + "‘’´`_")
    kept = "".join(" " if c in marks else c for c in text.lower())
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def script_f1(said: str, wanted: str, clean) -> float:
    words, gold = clean(said).split(), clean(wanted).split()
    same = sum((Counter(words) & Counter(gold)).values())
    if same == 0:
        return 0
    precision, recall = 1.0 * same / len(words), 1.0 * same / len(gold)
    return (2 * precision * recall) / (precision + recall)


@pytest.mark.parametrize(
    ("clean", "match", "f1"), [(squad_text, exact_match, token_f1), (trivia_text, trivia_exact_match, trivia_f1)]
)
def test_squad_and_trivia_qa(clean, match, f1):
    for said, wanted in pairs(clean):
        assert match(said, [wanted]) == float(clean(said) == clean(wanted)), (said, wanted)
        assert f1(said, [wanted]) == script_f1(said, wanted, clean), (said, wanted)
    golds = ["Spider-Man", "the Amazing Spider Man", ""]
    assert f1("spider man", golds) == max(script_f1("spider man", gold, clean) for gold in golds)


# DROP, drop_eval.py. -------------------------------------------------------------------------------------------------


def is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def drop_text(text: str) -> str:
    parts = []
    for token in re.split(" |-", text):
        word = token.lower()
        if not is_number(word):
            word = "".join(c for c in word if c not in set(string.punctuation))
        if is_number(word):
            word = str(float(word))
        word = " ".join(re.sub(r"\b(a|an|the)\b", " ", word).split())
        if word.strip():
            parts.append(word)
    return " ".join(parts).strip()


def drop_f1(said: str, wanted: str) -> float:
    words, gold = set(drop_text(said).split()), set(drop_text(wanted).split())
    numbers = {w for w in gold if is_number(w)}
    if numbers and not numbers & {w for w in words if is_number(w)}:
        return 0.0
    same = len(gold & words)
    precision = 1.0 if not words else same / len(words)
    recall = 1.0 if not gold else same / len(gold)
    return round(0.0 if precision == 0.0 and recall == 0.0 else 2 * precision * recall / (precision + recall), 2)


def test_drop():
    for said, wanted in pairs(drop_text):
        ours = drop_score(said, [wanted])
        assert ours.exact_match == float(drop_text(said) == drop_text(wanted)), (said, wanted)
        assert ours.f1 == drop_f1(said, wanted), (said, wanted)


def test_drop_matches_several_spans_one_to_one():
    golds = ["Ann Lee, Bo", "Ann Lee", "Bo"]
    assert drop_score("Bo, Ann", golds).f1 == round((1.0 + 2 / 3) / 2, 2)
    # A single span is still a right answer of its own, as the several people asked gave it.
    assert drop_score("Bo", golds).exact_match == 1.0
    assert drop_score("Bo, Cy", ["Bo, Cy and Dee"]).f1 == round(2 * 1.0 * 0.5 / 1.5, 2)


# Natural-Instructions, eval/automatic/evaluation.py: exact match with articles, ROUGE-L over Porter's stems. ----------


def instruction_text(text: str) -> str:
    return " ".join("".join(c for c in text.lower() if c not in set(string.punctuation)).split())


def stems(text: str) -> list[str]:
    stemmer = PorterStemmer()
    words = re.split(r"\s+", re.sub(r"[^a-z0-9]+", " ", text.lower()))
    stemmed = [stemmer.stem(word) if len(word) > 3 else word for word in words]
    return [word for word in stemmed if re.fullmatch(r"[a-z0-9]+", word)]


def longest_common(one: list[str], other: list[str]) -> int:
    row = [0] * (len(other) + 1)
    for item in one:
        last = row
        row = [0]
        for at, thing in enumerate(other):
            row.append(last[at] + 1 if item == thing else max(last[at + 1], row[at]))
    return row[-1]


def instruction_rouge_again(said: str, wanted: str) -> float:
    words, gold = stems(said), stems(wanted)
    if not words or not gold:
        return 0.0
    same = longest_common(gold, words)
    precision, recall = same / len(words), same / len(gold)
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def test_natural_instructions():
    for said, wanted in pairs(instruction_text):
        assert instruction_exact_match(said, [wanted]) == float(instruction_text(said) == instruction_text(wanted))
    for said, wanted in PAIRS:
        assert instruction_rouge(said, [wanted]) == instruction_rouge_again(said, wanted), (said, wanted)
    golds = ["the cat ran home", "cats running"]
    assert instruction_rouge("cat runs", golds) == max(instruction_rouge_again("cat runs", gold) for gold in golds)


# The libraries. ------------------------------------------------------------------------------------------------------


def test_rouge_score_to_the_last_digit():
    names = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    library = RougeScorer(names, use_stemmer=False)
    for said, wanted in PAIRS:
        theirs = library.score(wanted.replace(" . ", " .\n"), said.replace(" . ", " .\n"))
        assert rouge(said, [wanted]) == {name: theirs[name].fmeasure for name in names}, (said, wanted)


SENTENCE = "the a cat, dog's «no» 3.5 U.S.A. über-alt 北京。 it's (so) well-known & 'odd' $5 e.g. end. 猫在床上"


def garbled(sentence: list[str], words: list[str], rng: random.Random) -> str:
    kept = sentence[: rng.randint(0, 14)]
    return " ".join(word if rng.random() < 0.7 else rng.choice(words) for word in kept)


def corpora() -> list[tuple[list[str], list[list[str]]]]:
    rng = random.Random(5)
    words = SENTENCE.split()
    made = []
    for _ in range(25):
        size = rng.randint(1, 12)
        golds = [
            [" ".join(rng.choices(words, k=rng.randint(1, 14))) for _ in range(rng.randint(1, 3))] for _ in range(size)
        ]
        said = [garbled(rng.choice(gold).split(), words, rng) for gold in golds]
        made.append((said, golds))
    return [*made, (["b a"], [["a b"]]), (["x y z"], [["a b c"]]), ([""], [["a"]]), (["a b c d"], [["a b c d"]])]


@pytest.mark.parametrize("tokenization", ["intl", "13a", "zh", "char"])
def test_sacrebleu_to_the_last_digit(tokenization):
    for said, golds in corpora():
        most = max(map(len, golds))
        streams = [[gold[at] if at < len(gold) else None for gold in golds] for at in range(most)]
        library = BLEU(tokenize=tokenization)
        theirs = library.corpus_score(said, streams)
        notes = np.array([bleu_statistics(one, gold, tokenization) for one, gold in zip(said, golds, strict=True)])
        ours = 100 * corpus_bleu(notes, np.ones((1, len(said))))[0]
        assert ours == pytest.approx(min(theirs.score, 100.0), rel=1e-12, abs=1e-12)
        assert f"{ours:.2f}" == f"{theirs.score:.2f}"
        fewest = min(map(len, golds))
        assert bleu_signature(tokenization, (fewest, most)) == library.get_signature().format()


def test_the_default_of_sacrebleu_is_the_second_metric():
    said, golds = ["It's 5 o'clock, so we left."], ["It's five o'clock, so we went."]
    notes = np.array([bleu_statistics(said[0], golds, "13a")])
    assert 100 * corpus_bleu(notes, np.ones((1, 1)))[0] == pytest.approx(sacrebleu.corpus_bleu(said, [golds]).score)


def test_a_weighted_bleu_is_the_librarys_of_the_repeated_corpus():
    said, golds = next(one for one in corpora() if len(one[0]) > 6)
    notes = np.array([bleu_statistics(one, gold) for one, gold in zip(said, golds, strict=True)])
    weights = np.random.default_rng(0).multinomial(len(said), [1 / len(said)] * len(said), size=20)
    for weight, ours in zip(weights, corpus_bleu(notes, weights.astype(float)), strict=True):
        repeated = [at for at, times in enumerate(weight) for _ in range(times)]
        most = max(map(len, golds))
        streams = [[golds[at][k] if k < len(golds[at]) else None for at in repeated] for k in range(most)]
        theirs = BLEU(tokenize="intl").corpus_score([said[at] for at in repeated], streams)
        assert 100 * ours == pytest.approx(theirs.score, rel=1e-12, abs=1e-12)
