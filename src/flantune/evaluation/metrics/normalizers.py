"""Text normalizers, which define what counts as the same answer."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
# TriviaQA's script also reads typographic quotes and the underscore as punctuation, and puts a space in its place.
_TRIVIA_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation + "‘’´`_", " "))
# Where a model that was never taught to stop begins another question.
_NEXT_QUESTION = re.compile("Q:|Concepts:|Data:")
_FIRST_LETTER = re.compile(r"[^\W\d_]")


def lower_case(text: str) -> str:
    r"""The text in lower case, in composed form (NFC), so that the encoding of accents does not matter.

    >>> lower_case("CAFE\u0301") == lower_case("caf\u00e9")
    True
    """
    return unicodedata.normalize("NFC", text).lower()


def without_punctuation(text: str) -> str:
    """The text without ASCII punctuation; other punctuation stays, as in SQuAD's script.

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
    """SQuAD's normalization: lower case, no punctuation, no articles, single spaces, in that order.

    The order matters: with punctuation gone first, "a." loses its article too.

    Paper: FLAN 2021, section 2.3, with T5's SQuAD post-processing.

    >>> normalize_answer("  The Eiffel-Tower, (a tower)!")
    'eiffeltower tower'
    >>> normalize_answer("A.")
    ''
    """
    return single_spaced(without_articles(without_punctuation(lower_case(text))))


def normalize_trivia(text: str) -> str:
    """TriviaQA's normalization: as ``normalize_answer``, but punctuation separates words instead of joining them.

    Paper: FLAN 2021, section 2.3, with T5's TriviaQA post-processing.

    >>> normalize_trivia("The Spider-Man_‘rumour’"), normalize_answer("The Spider-Man_‘rumour’")
    ('spider man rumour', 'spiderman‘rumour’')
    """
    return single_spaced(without_articles(lower_case(text).translate(_TRIVIA_PUNCTUATION)))


def normalize_instruction_answer(text: str) -> str:
    """Natural-Instructions' normalization: lower case, no punctuation, single spaces; articles stay.

    Paper: Natural-Instructions v2, section 4 (exact match).

    >>> normalize_instruction_answer("The  Answer: A.")
    'the answer a'
    """
    return single_spaced(without_punctuation(lower_case(text)))


def _trivia_with_articles(text: str) -> str:
    return single_spaced(lower_case(text).translate(_TRIVIA_PUNCTUATION))


def folded(text: str) -> str:
    """The text except for case and white space: the last resort, which leaves something of every text.

    >>> folded("  +  "), folded("STRASSE") == folded("Straße")
    ('+', True)
    """
    return single_spaced(text.casefold())


@dataclass(frozen=True, slots=True)
class Normalizer:
    """How one metric normalizes, such that no answer becomes empty.

    SQuAD's normalizer reduces "A", "+" and "The" to nothing, so that an empty answer would equal them. If a reference
    vanishes, it is compared by the next normalization that leaves something: with its articles, and finally with its
    punctuation.

    Attributes:
        ways: The metric's own normalization first, then increasingly gentle ones; the last only removes case and white
            space.
    """

    ways: tuple[Callable[[str], str], ...]

    def for_references(self, references: Iterable[str]) -> Callable[[str], str]:
        """The first normalization that leaves something of every non-empty text.

        >>> SQUAD.for_references(["The Nile"])("the nile!"), SQUAD.for_references(["A"])("A.")
        ('nile', 'a')
        """
        wanted = [text for text in references if text.strip()]
        return next((way for way in self.ways if all(way(text) for text in wanted)), self.ways[-1])

    def key(self, text: str) -> str:
        """A text by the first normalization that leaves something of it; equal for equivalent texts.

        >>> SQUAD.key("The Nile."), SQUAD.key("The"), SQUAD.key("?"), SQUAD.key("")
        ('nile', 'the', '?', '')
        """
        return next((kept for way in self.ways if (kept := way(text))), "")


SQUAD = Normalizer((normalize_answer, normalize_instruction_answer, folded))
TRIVIA = Normalizer((normalize_trivia, _trivia_with_articles, folded))
INSTRUCTIONS = Normalizer((normalize_instruction_answer, folded))
VERBATIM = Normalizer((str.strip,))


def cut_like_flan(text: str) -> str:
    """What FLAN 2021's post-processing keeps of a generated answer.

    The answer ends where a marker of the next question begins, and begins with its first letter. An answer without any
    letter (a number) is kept, of which FLAN's own would leave nothing.

    Paper: FLAN 2021, section 2.3 (public code).

    >>> cut_like_flan(": the Nile Q: And the longest lake?"), cut_like_flan("- 42")
    ('the Nile', '- 42')
    """
    kept = _NEXT_QUESTION.split(text, maxsplit=1)[0]
    first = _FIRST_LETTER.search(kept)
    return (kept[first.start() :] if first else kept).strip()
