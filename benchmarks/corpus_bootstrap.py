"""Bootstrap of corpus scores: from each sentence's counts, against scoring the redrawn sentences from their texts.

The plain way is what evaluation harnesses do: draw sentences, hand them to sacrebleu, repeat. Both sides alternate in
one process, on one thread; times are CPU seconds.
"""

from __future__ import annotations

import random
import statistics as stats
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import sacrebleu
import scipy.stats
from numpy.typing import NDArray

from flantune.evaluation.metrics.bleu import bleu_statistics, corpus_bleu
from flantune.evaluation.metrics.decisions import class_f1, spearman
from flantune.evaluation.statistics.means import resample

SENTENCE = "the a of to and in is it river stone house yellow walks sings under over quickly never mill boat"
WORDS = SENTENCE.split()
REPLICATES = 1_000
ROUNDS = 3

Floats = NDArray[np.float64]
Score = Callable[[Floats], Floats]


def measure(*, small: bool = False) -> dict[str, Any]:
    """CPU seconds of 1,000 replicates by counts, of as many by texts, and their ratio; the scores agree."""
    rows, plain_replicates = (60, 3) if small else (300, 20)
    said, golds = _sentences(rows)
    notes = np.array([bleu_statistics(one, [gold]) for one, gold in zip(said, golds, strict=True)])
    generator = np.random.default_rng(0)
    grades = generator.integers(0, 6, (rows, 2)).astype(np.float64)
    classes = (grades > 2).astype(np.float64)

    def bleu_of(drawn: NDArray[np.intp]) -> float:
        texts, wanted = [said[at] for at in drawn], [golds[at] for at in drawn]
        return float(sacrebleu.corpus_bleu(texts, [wanted], tokenize="intl").score / 100)

    def spearman_of(drawn: NDArray[np.intp]) -> float:
        return float(scipy.stats.spearmanr(*grades[drawn].T).statistic)

    def f1_of(drawn: NDArray[np.intp]) -> float:
        truth, guess = classes[drawn].T
        return float(2 * (truth * guess).sum() / (truth.sum() + guess.sum()))

    cases: list[tuple[str, Score, Callable[[NDArray[np.intp]], float]]] = [
        ("bleu", lambda weights: corpus_bleu(notes, weights), bleu_of),
        ("spearman", lambda weights: spearman(grades, weights), spearman_of),
        ("f1", lambda weights: class_f1(classes, weights), f1_of),
    ]
    return {"sentences": rows, "rows": [_compare(*case, rows=rows, plain=plain_replicates) for case in cases]}


def _compare(
    name: str, fast: Score, slow: Callable[[NDArray[np.intp]], float], *, rows: int, plain: int
) -> dict[str, Any]:
    generator = np.random.default_rng(1)
    quick, long, scores = [], [], np.zeros(1)
    for turn in range(ROUNDS):
        start = time.process_time()
        scores = resample(fast, examples=rows, replicates=REPLICATES, seed=turn)
        quick.append((time.process_time() - start) / REPLICATES)
        start = time.process_time()
        for _ in range(plain):
            slow(generator.integers(0, rows, rows))
        long.append((time.process_time() - start) / plain)
    whole = slow(np.arange(rows))
    return {
        "score": name,
        "ms_per_replicate": round(1e3 * stats.median(quick), 4),
        "plain_ms_per_replicate": round(1e3 * stats.median(long), 3),
        "ratio": round(stats.median(long) / stats.median(quick), 1),
        "largest_difference_of_the_score": abs(float(scores[0]) - whole),
    }


def _sentences(rows: int) -> tuple[list[str], list[str]]:
    draw = random.Random(3)
    golds = [" ".join(draw.choices(WORDS, k=draw.randint(8, 30))) for _ in range(rows)]
    said = [" ".join(w if draw.random() < 0.75 else draw.choice(WORDS) for w in gold.split()) for gold in golds]
    return said, golds
