"""When two texts ask the same."""

from __future__ import annotations


def plain(text: str) -> str:
    r"""The text as far as it makes a difference to a reader: without letter case, white space as single blanks.

    >>> plain("  Is it\n RAINING? ")
    'is it raining?'
    """
    return " ".join(text.casefold().split())
