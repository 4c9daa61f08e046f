"""Words and characters of texts in any script, for metrics that count them."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Literal

from flantune.evaluation.metrics.scripts import SPACELESS, script_of

_Role = Literal["letter", "alone", "mark", "nothing", "gap"]


def words(text: str) -> list[str]:
    """The words of a text, without case: runs of letters, digits and marks; everything else separates them.

    In scripts without spaces between words (Chinese, Japanese, Thai …), each character is a word. A vowel sign or
    an accent stays with its letter. Invisible joiners neither separate words nor count.

    >>> words("Die Straße, 3.5 km"), words("नमस्ते दुनिया।")
    (['die', 'strasse', '3', '5', 'km'], ['नमस्ते', 'दुनिया'])
    >>> words("在 GitHub 上"), words("ไปบ้าน")
    (['在', 'github', '上'], ['ไ', 'ป', 'บ้', 'า', 'น'])
    """
    return _tokens(text, are_letters_alone=False)


def characters(text: str) -> list[str]:
    """The letters and digits of a text one by one, without case, each with its marks; all else is left out.

    >>> characters("Ça va, 北京!")
    ['ç', 'a', 'v', 'a', '北', '京']
    """
    return _tokens(text, are_letters_alone=True)


def _tokens(text: str, *, are_letters_alone: bool) -> list[str]:
    found: list[str] = []
    last: _Role = "gap"
    for character in unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()):
        role = _role(character)
        if role == "nothing":
            continue
        if role == "mark":
            # A mark on something that is not a letter (an emoji's selector) does not count either.
            if last != "gap":
                found[-1] += character
            continue
        if role == "letter" and last == "letter" and not are_letters_alone:
            found[-1] += character
        elif role != "gap":
            found.append(character)
        last = role
    return found


@lru_cache(maxsize=65_536)
def _role(character: str) -> _Role:
    category = unicodedata.category(character)
    if category[0] == "M":
        return "mark"
    if category[0] in "LN":
        return "alone" if script_of(character) in SPACELESS else "letter"
    return "nothing" if category == "Cf" else "gap"
