"""How near a generated text comes to its references: exact match, token F1, ROUGE and BLEU's sufficient statistics.

Every score lies between 0 and 1 and is the maximum over references. ROUGE and BLEU are those of the libraries
rouge-score and sacrebleu.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flantune.evaluation.answers import normalize_answer

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

Floats = NDArray[np.float64]

_ROUGE_TYPES = ("rouge1", "rouge2", "rougeL")
_BLEU_ORDER = 4


def exact_match(prediction: str, references: Sequence[str]) -> float:
    """1 when the prediction equals a reference after ``normalize_answer``, else 0.

    >>> exact_match("The Nile.", ["nile", "river nile"])
    1.0
    """
    return _best(_is_same, prediction, references)


def token_f1(prediction: str, references: Sequence[str]) -> float:
    """Overlap of words as SQuAD counts it: a bag of tokens, so that repeated words count as often as they occur.

    >>> round(token_f1("the red red car", ["a red car"]), 3)
    0.8
    """
    return _best(_token_f1, prediction, references)


def rouge(prediction: str, references: Sequence[str]) -> dict[str, float]:
    """ROUGE-1, ROUGE-2 and ROUGE-L F-measures, each the maximum over references.

    rouge-score's own tokenizer and no stemming; it keeps only a–z and 0–9, so other scripts score 0.

    Paper: FLAN 2021, section 3 (summarization and struct-to-text).
    """
    return dict(zip(_ROUGE_TYPES, _rouge(prediction, tuple(references)), strict=True))


def bleu_statistics(prediction: str, references: Sequence[str]) -> tuple[float, ...]:
    """All that corpus BLEU needs to know of one sentence: 4 matches, 4 totals, its length and the closest reference's.

    >>> bleu_statistics("the cat sat", ["the cat sat down"])
    (3.0, 2.0, 1.0, 0.0, 3.0, 2.0, 1.0, 0.0, 3.0, 4.0)
    """
    score = _bleu().sentence_score(prediction, list(references))
    return tuple(float(number) for number in (*score.counts, *score.totals, score.sys_len, score.ref_len))


def corpus_bleu(statistics: Floats, weights: Floats) -> Floats:
    """Corpus BLEU, in [0, 1], of a weighted bag of sentences, for each row of weights.

    Args:
        statistics: ``bleu_statistics`` of each sentence, shape [sentences, 10].
        weights: How often each sentence counts (whole numbers), shape [replicates, sentences].

    Returns:
        Shape [replicates].
    """
    from sacrebleu.metrics.bleu import BLEU

    # Whole numbers, since weights count sentences; sacrebleu prints them as such.
    sums = np.rint(weights @ statistics).astype(np.int64)
    scores = [
        BLEU.compute_bleu(
            list(row[:_BLEU_ORDER]),
            list(row[_BLEU_ORDER : 2 * _BLEU_ORDER]),
            row[-2],
            row[-1],
            smooth_method="exp",
            effective_order=False,
        ).score
        for row in sums.tolist()
    ]
    return np.clip(np.asarray(scores, dtype=np.float64) / 100.0, 0.0, 1.0)


def _best(score: Callable[[str, str], float], prediction: str, references: Sequence[str]) -> float:
    return max((score(prediction, reference) for reference in references), default=0.0)


def _is_same(prediction: str, reference: str) -> float:
    return float(normalize_answer(prediction) == normalize_answer(reference))


def _token_f1(prediction: str, reference: str) -> float:
    said, wanted = normalize_answer(prediction).split(), normalize_answer(reference).split()
    if not said or not wanted:
        # SQuAD 2.0's rule: an empty answer is right exactly when the reference is empty too.
        return float(said == wanted)
    common = sum((Counter(said) & Counter(wanted)).values())
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


@lru_cache(maxsize=4096)
def _rouge(prediction: str, references: tuple[str, ...]) -> tuple[float, ...]:
    # Cached because the three types come from one computation and are asked for one by one.
    scores = _rouge_scorer().score_multi(list(references), prediction)
    return tuple(float(scores[name].fmeasure) for name in _ROUGE_TYPES)


@lru_cache(maxsize=1)
def _rouge_scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(_ROUGE_TYPES), use_stemmer=False)


@lru_cache(maxsize=1)
def _bleu() -> BLEU:
    from sacrebleu.metrics.bleu import BLEU

    # T5's and FLAN's settings. effective_order would only change the sentence's own score, which is not used; asking
    # for it keeps sacrebleu from warning at every sentence.
    return BLEU(tokenize="intl", smooth_method="exp", effective_order=True)
