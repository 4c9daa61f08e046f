"""DROP's own scorer: bags of words in which a number must be the right one, and answers of several spans."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from flantune.evaluation.metrics.normalizers import Normalizer, folded, single_spaced, without_articles

_BETWEEN_WORDS = re.compile("[ -]")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class DropScore:
    """The scores of an answer by DROP's script."""

    exact_match: float
    f1: float


def drop_score(prediction: str, references: Sequence[str]) -> DropScore:
    """The best over references of exact match and of F1, which DROP's script rounds to two decimals.

    A number in the reference that the prediction lacks makes its F1 zero. A reference that joins other references with
    commas is an answer of several spans: the prediction is then read as a list too, and its spans are matched one to
    one to those of the reference.

    Paper: Dua et al. 2019, "DROP", section 5.

    >>> drop_score("3 touchdowns", ["3"]), drop_score("4 touchdowns", ["3 touchdowns"]).f1
    (DropScore(exact_match=0.0, f1=0.67), 0.0)
    >>> drop_score("Smith, Jones", ["Jones, Smith", "Jones", "Smith"])
    DropScore(exact_match=1.0, f1=1.0)
    """
    scores = [_score(prediction, spans) for spans in (_spans(reference, references) for reference in references)]
    return DropScore(
        exact_match=max((score.exact_match for score in scores), default=0.0),
        f1=max((score.f1 for score in scores), default=0.0),
    )


def _spans(reference: str, references: Sequence[str]) -> list[str]:
    parts = reference.split(", ")
    return parts if len(parts) > 1 and set(parts) <= set(references) - {reference} else [reference]


def _score(prediction: str, wanted: Sequence[str]) -> DropScore:
    said = prediction.split(", ") if len(wanted) > 1 else [prediction]
    # By the script, an empty answer would be right if a span consists only of an article or punctuation.
    normalize = _DROP.for_references(wanted)
    said_texts, wanted_texts = ([normalize(span) for span in spans] for spans in (said, wanted))
    is_same = set(said_texts) == set(wanted_texts) and len(said_texts) == len(wanted_texts)
    return DropScore(exact_match=float(is_same), f1=_f1_of_spans(said_texts, wanted_texts))


def _f1_of_spans(said: Sequence[str], wanted: Sequence[str]) -> float:
    from scipy.optimize import linear_sum_assignment

    table = np.array([[_f1(set(one.split()), set(other.split())) for other in wanted] for one in said])
    pairs = linear_sum_assignment(table, maximize=True)
    return round(float(table[pairs].sum()) / max(len(said), len(wanted)), 2)


def _f1(said: set[str], wanted: set[str]) -> float:
    numbers = {word for word in wanted if _is_number(word)}
    if numbers and not numbers & said:
        return 0.0
    common = len(said & wanted)
    precision = common / len(said) if said else 1.0
    recall = common / len(wanted) if wanted else 1.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _normalize(text: str) -> str:
    """Word by word: lower case, no punctuation except in numbers, numbers as floats, no articles."""
    return _with_articles(text, without_articles)


def _with_articles(text: str, drop: Callable[[str], str] = str) -> str:
    words = (single_spaced(drop(_bare(word))) for word in _BETWEEN_WORDS.split(text.lower()))
    return single_spaced(" ".join(words))


def _bare(word: str) -> str:
    bare = word if _is_number(word) else word.translate(_PUNCTUATION)
    return str(float(bare)) if _is_number(bare) else bare


_DROP = Normalizer((_normalize, _with_articles, folded))


def _is_number(text: str) -> bool:
    # As in the script: anything that Python parses as a float, including "nan" and "1_000".
    try:
        float(text)
    except ValueError:
        return False
    return True
