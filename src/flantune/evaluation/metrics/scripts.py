"""Writing systems: the script of a text, and the scripts without spaces between words."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

SPACELESS = frozenset({"CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"})
"""Scripts without spaces between words: splitting at white space gives whole clauses."""

_NAMES = {"CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese"}
_WIDTHS = {"FULLWIDTH", "HALFWIDTH", "MODIFIER"}


@lru_cache(maxsize=65_536)
def script_of(character: str) -> str:
    """The script of a letter or its mark, as in its Unicode name; empty for digits, punctuation and symbols.

    >>> [script_of(character) for character in "aЖ中कไ7!"]
    ['LATIN', 'CYRILLIC', 'CJK', 'DEVANAGARI', 'THAI', '', '']
    """
    if unicodedata.category(character)[0] not in "LM":
        return ""
    words = unicodedata.name(character, "").split()
    if words and words[0] in _WIDTHS:
        words = words[1:]
    return words[0] if words and words[0] not in {"COMBINING", "VARIATION"} else ""


def scripts_of(texts: Iterable[str]) -> Counter[str]:
    """How many letters of each script the texts have.

    >>> scripts_of(["Москва", "to Москва"])
    Counter({'CYRILLIC': 12, 'LATIN': 2})
    """
    found = Counter(script for text in texts for character in text if (script := script_of(character)))
    return Counter(dict(found.most_common()))


def script_name(script: str) -> str:
    """The usual name of a script.

    >>> script_name("DEVANAGARI"), script_name("CJK")
    ('Devanagari', 'Chinese')
    """
    return _NAMES.get(script, script.capitalize())
