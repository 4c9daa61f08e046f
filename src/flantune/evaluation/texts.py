"""How near a generated text comes to its references, one sample at a time.

Every score lies between 0 and 1 and is the maximum over references. Those with an official scorer agree with it to the
last digit it prints, oddities included: its own normalizer, and what it makes of an empty answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from flantune.evaluation.edits import similarity
from flantune.evaluation.normalizers import normalize_answer, normalize_instruction_answer, normalize_trivia

Normalizer = Callable[[str], str]


def exact_match(prediction: str, references: Sequence[str]) -> float:
    """1 when the prediction equals a reference after ``normalize_answer``, else 0.

    >>> exact_match("The Nile.", ["nile", "river nile"])
    1.0
    """
    return _same(prediction, references, normalize_answer)


def token_f1(prediction: str, references: Sequence[str]) -> float:
    """Overlap of words as SQuAD v1.1 counts it: a bag of words, so that repeated words count as often as they occur.

    An answer that is nothing but articles and punctuation overlaps with nothing, not even with itself.

    >>> round(token_f1("the red red car", ["a red car"]), 3)
    0.8
    """
    return _bag_f1(prediction, references, normalize_answer)


def trivia_exact_match(prediction: str, references: Sequence[str]) -> float:
    """``exact_match`` by TriviaQA's normalizer.

    >>> trivia_exact_match("Spider-Man", ["spider man"]), exact_match("Spider-Man", ["spider man"])
    (1.0, 0.0)
    """
    return _same(prediction, references, normalize_trivia)


def trivia_f1(prediction: str, references: Sequence[str]) -> float:
    """``token_f1`` by TriviaQA's normalizer.

    >>> trivia_f1("Jean-Paul Sartre", ["Sartre"])
    0.5
    """
    return _bag_f1(prediction, references, normalize_trivia)


def instruction_exact_match(prediction: str, references: Sequence[str]) -> float:
    """Natural-Instructions' exact match: articles count.

    >>> instruction_exact_match("Yes.", ["yes"]), instruction_exact_match("the cat", ["cat"])
    (1.0, 0.0)
    """
    return _same(prediction, references, normalize_instruction_answer)


def verbatim_match(prediction: str, references: Sequence[str]) -> float:
    """1 when the prediction is a reference, character for character but for white space at the ends.

    For tasks whose answer is case or punctuation itself, of which ``exact_match`` sees nothing.

    >>> verbatim_match("Yes, it is. ", ["Yes, it is."]), verbatim_match("yes it is", ["Yes, it is."])
    (1.0, 0.0)
    """
    return _same(prediction, references, str.strip)


def edit_similarity(prediction: str, references: Sequence[str]) -> float:
    """1 minus the character edits that lead to the reference, per character of the longer text.

    >>> round(edit_similarity("kitten", ["sitting"]), 3)
    0.571
    """
    said = prediction.strip()
    return max((similarity(said, reference.strip()) for reference in references), default=0.0)


def word_edit_similarity(prediction: str, references: Sequence[str]) -> float:
    """The same in words: 1 minus the words inserted, deleted or replaced, per word of the longer text.

    >>> word_edit_similarity("the cat sat down", ["the dog sat down"])
    0.75
    """
    said = prediction.split()
    return max((similarity(said, reference.split()) for reference in references), default=0.0)


def _same(prediction: str, references: Sequence[str], normalize: Normalizer) -> float:
    said = normalize(prediction)
    return float(any(normalize(reference) == said for reference in references))


def _bag_f1(prediction: str, references: Sequence[str], normalize: Normalizer) -> float:
    said = normalize(prediction).split()
    return max((_f1(said, normalize(reference).split()) for reference in references), default=0.0)


def _f1(said: Sequence[str], wanted: Sequence[str]) -> float:
    common = sum((Counter(said) & Counter(wanted)).values())
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(wanted)
    return 2 * precision * recall / (precision + recall)
