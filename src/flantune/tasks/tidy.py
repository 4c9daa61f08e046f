r"""Cleans texts of what files and tokenizers leave in them: HTML entities, doubled spaces, -LRB- for (, `` for quotes.

Task files turn it on (``tidy = true``); your own data is unchanged unless you turn it on.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

from flantune.types import Example, Row, Turn

# Increased whenever the code below makes different texts.
_VERSION = 1

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_MOST_ESCAPES = 3
"""How many times a text may have been escaped: &amp;quot; is a quote escaped twice."""
_BRACKET = re.compile(r"-(LRB|RRB|LSB|RSB|LCB|RCB)-")
_BRACKETS = {"LRB": "(", "RRB": ")", "LSB": "[", "RSB": "]", "LCB": "{", "RCB": "}"}
_DOUBLED_SPACE = re.compile(r"(?<=\S)[ \t]{2,}(?=\S)")
_ESCAPED_SLASH = re.compile(r"(?<=\w)\\/(?=\w)|(?<= )\\/(?= )")
_UNSEEN: dict[int, str | None] = {
    **dict.fromkeys(code for code in (*range(32), 0x7F, 0x200B, 0x2060, 0xFEFF) if chr(code) not in "\t\n\r"),
    # Of Windows' own characters (quotes, dashes), read as if they were Latin-1.
    **{code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)},
    0xA0: " ",
    0x2028: "\n",
    0x2029: "\n",
}
# Two or more characters that Windows has one byte for: UTF-8 read as if it were Windows' or Latin-1, if they decode.
_WINDOWS = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_MISREAD = re.compile(f"[\x80-\xff{_WINDOWS}]{{2,}}")
# Two apostrophes close a quotation, except after a figure (inches, seconds) and before a bracket (a derivative).
_CLOSING_QUOTE = re.compile(r"(?<![\d'])''(?![\w('])")
_TRACES = re.compile(
    r"-[LR][RSC]B-|''|[ \t]{2}|"
    + _MISREAD.pattern
    + "|[&`\\\\\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xa0\u200b\u2028\u2029\u2060\ufeff]"
)


def tidy(text: str) -> str:
    r"""The text as its writer meant it; line breaks, and spaces at the ends of lines, are kept.

    >>> tidy("Johnson &amp; Johnson &lt;3  ``tea'' -LRB- and\\/or milk -RRB-\nat 5\u00a0o'clock")
    'Johnson & Johnson <3 "tea" ( and/or milk )\nat 5 o\'clock'
    """
    if not _TRACES.search(text):
        return text
    text = _MISREAD.sub(_decoded, unescaped(text)).translate(_UNSEEN)
    if "``" in text:
        text = text.replace("``", '"').replace("''", '"')
    text = _CLOSING_QUOTE.sub('"', text)
    text = _BRACKET.sub(lambda match: _BRACKETS[match[1]], text)
    return _DOUBLED_SPACE.sub(" ", _ESCAPED_SLASH.sub("/", text))


def unescaped(text: str) -> str:
    """The text with HTML entities replaced. Without a semicolon (AT&T, R&D) it is not an entity.

    >>> unescaped("AT&amp;T &amp;quot;cuts&amp;quot; R&D &copy this &#8212; it &lt; 5")
    'AT&T "cuts" R&D &copy this — it < 5'
    """
    for _ in range(_MOST_ESCAPES):
        plain = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
        if plain == text:
            break
        text = plain
    return text


def _decoded(match: re.Match[str]) -> str:
    """Repairs UTF-8 that was read as Windows characters; other texts are unchanged."""
    try:
        single = [bytes([ord(one)]) if ord(one) < 256 else one.encode("cp1252") for one in match[0]]
        return b"".join(single).decode()
    except UnicodeError:
        return match[0]


@dataclass(frozen=True, slots=True)
class TidyAdapter:
    """An adapter whose examples are tidied.

    Attributes:
        adapter: Raw row → example.
        adapter_fingerprint: The adapter's own.
    """

    adapter: Callable[[Row], Example | None]
    adapter_fingerprint: str

    def __call__(self, row: Row) -> Example | None:
        """Adapts a row, then tidies its fields, options and references."""
        example = self.adapter(row)
        if not isinstance(example, Example):
            return example
        return replace(
            example,
            fields={name: _tidy(text) for name, text in example.fields.items()},
            options=tuple(map(_tidy, example.options)),
            references=tuple(dict.fromkeys(map(_tidy, example.references))),
            turns=tuple(Turn(_tidy(turn.speaker), _tidy(turn.text)) for turn in example.turns),
        )

    @property
    def fingerprint(self) -> str:
        """Changes with the adapter and with what is tidied."""
        return sha256(f"tidy {_VERSION} {self.adapter_fingerprint}".encode()).hexdigest()


def _tidy(text: str) -> str:
    # Anything else that an adapter returned is found when the example is checked.
    return tidy(text) if isinstance(text, str) else text
