"""Figures and signs of all scripts in ASCII, and which of the marks between them belong to a number."""

from __future__ import annotations

import re
import unicodedata

from flantune.numerals.digit_groups import INNER_SPACE

UNSEEN = "\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
"""Marks of direction, and of no width: nobody sees them, and none of them is part of a number."""

_AS_ASCII = {
    **dict.fromkeys("−‐‑‒–﹣－", "-"), **dict.fromkeys("＋﹢", "+"), **dict.fromkeys("’‘ʼ＇٬´′", "'"),
    **dict.fromkeys("\u00a0\u2007\u2008\u2009\u200a\u202f", INNER_SPACE),
    **dict.fromkeys("⁄∕／", "/"), **dict.fromkeys("％﹪٪", "%"), **dict.fromkeys("✕⋅·∙", "×"),
    "，": ",", "،": ",", "．": ".", "：": ":", "＄": "$", "（": "(", "）": ")", "＝": "=",
}  # fmt: skip
_FOREIGN = re.compile(r"[^\x00-\x7f]")
_THREES = re.compile(r"(?<![0-9])[0-9]{1,3}(?: [0-9]{3})+(?![0-9])")
_THREES_IN_TEXT = re.compile(r"(?<![0-9.,'])[1-9][0-9]{0,2}(?P<groups>(?: [0-9]{3})+)(?![0-9])")
_UNSEEN_SIGN = re.compile(rf"(?P<sign>[+-])(?P<before>[{UNSEEN}]+)(?=[0-9.])")
_UNSEEN_PERCENT = re.compile(rf"(?<=[0-9])(?P<behind>[{UNSEEN}]+)%")


def in_ascii(text: str) -> str:
    """The text with the figures and signs of all scripts in ASCII, character for character.

    >>> in_ascii("−३５％")
    '-35%'
    """
    return text if text.isascii() else _FOREIGN.sub(_character_in_ascii, text)


def signs_at_figures(plain: str) -> str:
    r"""Signs right beside their figures where unseen marks stand between; the text keeps its length.

    >>> signs_at_figures("-\u200e5\u200f%") == "\u200e-5%\u200f"
    True
    """
    if plain.isascii():
        return plain
    return _UNSEEN_PERCENT.sub(r"%\g<behind>", _UNSEEN_SIGN.sub(r"\g<before>\g<sign>", plain))


def without_unseen(text: str) -> str:
    r"""The text without marks of direction and of no width.

    >>> without_unseen("\u200e-5")
    '-5'
    """
    return text if text.isascii() else text.translate(dict.fromkeys(map(ord, UNSEEN)))


def spaces_grouped(plain: str) -> str:
    """Spaces that group figures in threes, as such that stand inside numbers alone."""
    return _THREES.sub(lambda match: match[0].replace(" ", INNER_SPACE), plain)


def sure_spaces_grouped(plain: str) -> str:
    """The same for running text, where the figures can hardly be numbers of their own.

    "000" is not a number; "3 100 g bags" are two; and of figures in a row ("1 2 3 100 200") each may be one.

    >>> sure_spaces_grouped("10 000 of 1 234 567") == "10\u00a0000 of 1\u00a0234\u00a0567"
    True
    >>> sure_spaces_grouped("3 100 g bags, 12 345 km") == "3 100 g bags, 12 345 km"
    True
    """
    return _THREES_IN_TEXT.sub(_grouped_if_sure, plain)


def _grouped_if_sure(match: re.Match[str]) -> str:
    groups = match["groups"].split()
    before, behind = match.string[max(0, match.start() - 2) : match.start()], match.string[match.end() :][:2]
    is_in_row = before[:1].isdecimal() or behind[1:].isdecimal()
    is_sure = any(group.startswith("0") for group in groups) or (len(groups) > 1 and not is_in_row)
    return match[0].replace(" ", INNER_SPACE) if is_sure else match[0]


def _character_in_ascii(match: re.Match[str]) -> str:
    character = match[0]
    figure = unicodedata.decimal(character, None)
    return _AS_ASCII.get(character, character) if figure is None else str(figure)
