"""When two texts ask the same thing."""

from __future__ import annotations


def plain(text: str) -> str:
    r"""The text without differences that do not matter to a reader: in lower case, with single spaces.

    >>> plain("  Is it\n RAINING? ")
    'is it raining?'
    """
    return " ".join(text.casefold().split())
