"""Corpus chrF from each sentence's counts: sacrebleu's own score, and thousands of bootstrap replicates at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ORDER = 6
_BETA = 2.0


def chrf_statistics(prediction: str, references: Sequence[str]) -> tuple[float, ...]:
    """What corpus chrF needs of one sentence: counts of character n-grams in the prediction, the reference, and both.

    With several references, the closest one counts. White space is ignored.

    Paper: Popović 2015.

    >>> chrf_statistics("a cat", ["a car"])[:3]
    (4.0, 4.0, 3.0)
    """
    said = _grams(prediction)
    each = [_matches(said, _grams(reference)) for reference in references]
    return max(each, key=lambda found: float(corpus_chrf(np.array([found]), np.ones((1, 1)))[0]))


def corpus_chrf(statistics: Floats, weights: Floats) -> Floats:
    """Corpus chrF, in [0, 1], of a weighted bag of sentences, for each row of weights.

    Args:
        statistics: ``chrf_statistics`` of each sentence, shape [sentences, 18].
        weights: How often each sentence counts, shape [replicates, sentences].

    Returns:
        Shape [replicates].
    """
    said, wanted, both = (weights @ statistics).reshape(len(weights), _ORDER, 3).transpose(2, 0, 1)
    counts = (said > 0) & (wanted > 0)
    orders = np.maximum(counts.sum(axis=1), 1)
    precision, recall = (
        np.divide(both, total, out=np.zeros_like(both), where=counts).sum(axis=1) / orders for total in (said, wanted)
    )
    below = _BETA**2 * precision + recall
    return np.asarray(np.divide((1 + _BETA**2) * precision * recall, below, out=np.zeros_like(below), where=below > 0))


def _grams(text: str) -> tuple[Counter[str], ...]:
    """How often each run of 1 to 6 characters occurs."""
    letters = "".join(text.split())
    return tuple(Counter(letters[at : at + n] for at in range(len(letters) - n + 1)) for n in range(1, _ORDER + 1))


def _matches(said: Sequence[Counter[str]], wanted: Sequence[Counter[str]]) -> tuple[float, ...]:
    # As in sacrebleu: an n-gram order that the reference is too short for does not count against the prediction.
    found = ((s.total() if w else 0, w.total(), (s & w).total()) for s, w in zip(said, wanted, strict=True))
    return tuple(float(number) for counts in found for number in counts)
