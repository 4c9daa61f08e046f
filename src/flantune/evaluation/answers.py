"""Text normalizers: what counts as the same answer."""

from __future__ import annotations

import re
import string

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def lower_case(text: str) -> str:
    """The text without capital letters."""
    return text.lower()


def without_punctuation(text: str) -> str:
    """The text without ASCII punctuation; other scripts' marks stay, as in SQuAD's script.

    >>> without_punctuation("U.S.-led, don't")
    'USled dont'
    """
    return text.translate(_PUNCTUATION)


def without_articles(text: str) -> str:
    """The text with every "a", "an" and "the" replaced by a space.

    >>> without_articles("the cat and a dog in Athens")
    '  cat and   dog in Athens'
    """
    return _ARTICLES.sub(" ", text)


def single_spaced(text: str) -> str:
    """The text with each run of white space as one space, and none at its ends."""
    return " ".join(text.split())


def normalize_answer(text: str) -> str:
    """What two answers are compared by: lower case, no punctuation, no articles, single spaces — in that order.

    The order matters: with punctuation gone first, "a." loses its article too.

    Paper: FLAN 2021, section 2.3, with T5's SQuAD post-processing.

    >>> normalize_answer("  The Eiffel-Tower, (a tower)!")
    'eiffeltower tower'
    >>> normalize_answer("A.")
    ''
    """
    return single_spaced(without_articles(without_punctuation(lower_case(text))))
