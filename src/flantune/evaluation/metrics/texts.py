"""How similar a generated text is to its references, one sample at a time.

Every score lies between 0 and 1 and is the maximum over references. Those with an official scorer agree with it to the
last printed digit, including its peculiarities: its normalizer, and its treatment of an empty answer. They differ in
one respect: a reference of which the official normalizer leaves nothing ("A", "+") is compared by a gentler one, since
otherwise an empty answer would be right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from flantune.evaluation.metrics.edits import similarity
from flantune.evaluation.metrics.normalizers import INSTRUCTIONS, SQUAD, TRIVIA, VERBATIM, Normalizer, folded
from flantune.evaluation.metrics.word_tokens import characters

CHARACTERS = Normalizer((lambda text: " ".join(characters(text)), folded))
"""The letters and digits, one by one; for a text without any, the text itself."""


def exact_match(prediction: str, references: Sequence[str]) -> float:
    """1 if the prediction equals a reference after ``normalize_answer``, otherwise 0.

    >>> exact_match("The Nile.", ["nile", "river nile"])
    1.0
    >>> exact_match("a.", ["A"]), exact_match("The", ["A"]), exact_match("", ["A"])
    (1.0, 0.0, 0.0)
    """
    return _same(prediction, references, SQUAD)


def token_f1(prediction: str, references: Sequence[str]) -> float:
    """Overlap of words as SQuAD v1.1 counts it: a bag of words, so that repeated words count as often as they occur.

    >>> round(token_f1("the red red car", ["a red car"]), 3), token_f1("A", ["A"])
    (0.8, 1.0)
    """
    return _bag_f1(prediction, references, SQUAD)


def trivia_exact_match(prediction: str, references: Sequence[str]) -> float:
    """``exact_match`` by TriviaQA's normalizer.

    >>> trivia_exact_match("Spider-Man", ["spider man"]), exact_match("Spider-Man", ["spider man"])
    (1.0, 0.0)
    """
    return _same(prediction, references, TRIVIA)


def trivia_f1(prediction: str, references: Sequence[str]) -> float:
    """``token_f1`` by TriviaQA's normalizer.

    >>> trivia_f1("Jean-Paul Sartre", ["Sartre"])
    0.5
    """
    return _bag_f1(prediction, references, TRIVIA)


def instruction_exact_match(prediction: str, references: Sequence[str]) -> float:
    """Natural-Instructions' exact match: articles count.

    >>> instruction_exact_match("Yes.", ["yes"]), instruction_exact_match("the cat", ["cat"])
    (1.0, 0.0)
    """
    return _same(prediction, references, INSTRUCTIONS)


def verbatim_match(prediction: str, references: Sequence[str]) -> float:
    """1 if the prediction equals a reference exactly, except for white space at the ends.

    For tasks about case or punctuation, which ``exact_match`` ignores.

    >>> verbatim_match("Yes, it is. ", ["Yes, it is."]), verbatim_match("yes it is", ["Yes, it is."])
    (1.0, 0.0)
    """
    return _same(prediction, references, VERBATIM)


def edit_similarity(prediction: str, references: Sequence[str]) -> float:
    """1 minus the number of character edits to the reference, per character of the longer text.

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


def character_exact_match(prediction: str, references: Sequence[str]) -> float:
    """1 if the prediction has the same letters and digits in the same order as a reference, in any script.

    Case, white space and punctuation of every script are ignored, unless a reference consists of nothing else.

    >>> character_exact_match("北京。", ["北京"]), exact_match("北京。", ["北京"]), character_exact_match("", ["。"])
    (1.0, 0.0, 0.0)
    """
    return _same(prediction, references, CHARACTERS)


def character_f1(prediction: str, references: Sequence[str]) -> float:
    """Overlap of characters: ``token_f1`` for scripts without spaces, in which it would count a clause as one word.

    >>> round(character_f1("在北京市", ["北京"]), 3), token_f1("在北京市", ["北京"])
    (0.667, 0.0)
    """
    return _bag_f1(prediction, references, CHARACTERS)


def _same(prediction: str, references: Sequence[str], normalizer: Normalizer) -> float:
    return float(any(_is_same(prediction, reference, normalizer) for reference in references))


def _is_same(prediction: str, reference: str, normalizer: Normalizer) -> bool:
    normalize = normalizer.for_references([reference])
    return normalize(prediction) == normalize(reference)


def _bag_f1(prediction: str, references: Sequence[str], normalizer: Normalizer) -> float:
    return max((_f1_of(prediction, reference, normalizer) for reference in references), default=0.0)


def _f1_of(prediction: str, reference: str, normalizer: Normalizer) -> float:
    normalize = normalizer.for_references([reference])
    return _f1(normalize(prediction).split(), normalize(reference).split())


def _f1(said: Sequence[str], wanted: Sequence[str]) -> float:
    common = sum((Counter(said) & Counter(wanted)).values())
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(wanted)
    return 2 * precision * recall / (precision + recall)
