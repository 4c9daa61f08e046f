"""What a licence, as its authors state it, permits. A reading of the text, not legal advice."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

LicenceUse = Literal["commercial", "non-commercial", "unknown"]
"""Whether the data and what is made from it may be used by anybody, only non-commercially, or nothing is stated."""

_FREE = re.compile(
    r"""
    \bcc[ -]?(?:0|zero)\b | \bcc0 | \bcc[ -]by(?:[ -]sa)?\b(?![ -]n[cd]\b) | \bpublic[ ]domain\b | \bunlicense\b
    | ^(?:the[ ])?mit(?:[ ]licen[cs]e)?$ | \bsays[ ]mit$ | \bbsd\b | \bisc\b
    | \bapache\b | \ba?l?gpl\b | \bgnu\b | \bgfdl\b | \bafl\b | \bmpl\b | \beupl\b
    | \bartistic\b | \bzlib\b | \bcdla\b | \bodc-by\b | \bodbl\b | \bpddl\b | \boanc\b | \bwordnet\b
    | \bfree[ ]for[ ]any[ ]use\b
    """,
    re.VERBOSE,
)
_NOT_FOR_TRADE = re.compile(
    r"""
    \bnc\b | \bnon-?[ ]?commercial | \bnot[ ]for[ ]commercial | \bacademic\b | \bmsr-la\b | \bresearch\b
    """,
    re.VERBOSE,
)
_SAYS_NOTHING = re.compile(
    r"""
    ^with[ ]acknowledg | ^as[ ](?:its|the)[ ].*\bstates$ | ^version[ ]\d | ^universal$ | ^v?\d[\d.]*$
    | ^licen[cs]e$
    """,
    re.VERBOSE,
)


@lru_cache(maxsize=4_096)
def licence_use(licence: str) -> LicenceUse:
    """What a licence allows, by its name. Of several licences the strictest counts.

    What is not known to allow commercial use counts as not allowing it: licences of a single dataset, terms of use,
    agreements, licences without derivatives (ND), and data without a stated licence.

    >>> licence_use("CC BY-SA 4.0"), licence_use("CC BY-NC 4.0"), licence_use("not stated")
    ('commercial', 'non-commercial', 'unknown')
    >>> licence_use("CC0-1.0 (the packaging; the web texts keep their own)")
    'unknown'
    """
    text = re.sub(r"https?://\S+?(?=[)\s]|$)", " ", licence.lower()).replace("_", "-").replace("–", "-")
    if _NOT_FOR_TRADE.search(text):
        return "non-commercial"
    parts = [part.strip() for part in re.split(r"[;,()/]|\band\b|\bor\b", text)]
    said = [part for part in parts if part and not _SAYS_NOTHING.search(part)]
    return "commercial" if said and all(_FREE.search(part) for part in said) else "unknown"
