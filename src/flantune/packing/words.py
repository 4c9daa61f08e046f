r"""Ids of plain text word by word, each word's found once: those of the tokenizer itself, in a fraction of the time.

Most tokenizers first cut a text into words, by a pattern or at blanks, and then find the ids of each word by itself.
Cutting is cheap, finding ids is not, and most words come again. So the cutting is done here, and the tokenizer's own
model is asked for the ids of those words alone that it was not asked for before.

This holds for tokenizers whose way of cutting is known (``word_ids`` reads it from their description), and for text of
well-known characters: ASCII, and letters and punctuation of Latin, Greek and Cyrillic script on whose kind the
tokenizer was found to agree, by trying each. With anything else the tokenizer is left alone.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

MARK = "\u2581"
"""SentencePiece's sign for a blank."""

_SPACE = "\t\n\r "
_ASCII = _SPACE + "".join(map(chr, range(33, 127)))
# Without what folds to an ASCII letter, is invisible, or is put together from two.
_FURTHER = "".join(map(chr, (*range(0xA1, 0xAD), *range(0xAE, 0x17F), *range(0x391, 0x3CA), *range(0x410, 0x450))))
_PUNCTUATION = "\u2010\u2013\u2014\u2018\u2019\u201c\u201d\u2022\u2026\u20ac"

_NOBODY = "\ue005"
"""Stands in for a class that no plain character is in."""

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_BY_CHARACTER = {"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Precompiled"}
"""Normalizers that look at one ASCII character at a time."""
_MOST_WORDS = 400_000
_LONGEST_WORD = 64
_MOST_ADDED = 16
_TRIALS = (
    "Is it  so? It's 3,141.59 of them;\n\n  they'll say: \"I'D'VE\" (no)...\t- yes!\n- a\n- b\r\n",
    " 12345 x_y=z+1 // don't [stop] <eos> {it} ...   \n \n  A\nB ",
    *("word", "\n", " ", "  two", "a\r\n\r\nb", "'s 'S"),
)

Cut = Callable[[str], list[str]]


class UnknownWayError(Exception):
    """A tokenizer cuts texts in a way that is not known here."""


class WordIds:
    """Ids of texts, word by word.

    Args:
        model: The tokenizer's model, which finds the ids of a word.
        cuts: How a text becomes words, one step after the other.
        spelled: How a word is written for the model.
        normalize: What is done to a text before all else; None: nothing.
        plain: The characters whose kinds are known.
        added: Words that the tokenizer looks for before it cuts.

    Attributes:
        is_context_free: A text between two control tokens is cut like one that stands alone.
    """

    def __init__(
        self,
        model: Any,
        *,
        cuts: Sequence[Cut],
        spelled: Callable[[str], str],
        normalize: Callable[[str], str] | None,
        plain: str,
        added: Sequence[str],
    ) -> None:
        self.is_context_free = spelled is _as_bytes
        self._known = _KnownWords(model, spelled)
        self._first, *self._others = cuts
        self._normalize, self._added = normalize, added
        self._is_plain = re.compile(f"[{re.escape(plain)}]*").fullmatch
        self._is_plain_still = re.compile(f"[{re.escape(plain + MARK)}]*").fullmatch

    def ids(self, text: str) -> list[int] | None:
        """The ids; None where the text is not plain."""
        words = self.words(text)
        return None if words is None else list(chain.from_iterable(map(self._known.__getitem__, words)))

    def words(self, text: str) -> list[str] | None:
        """The words as the model is asked for them; None where the text is not plain."""
        if self._is_plain(text) is None or self._has_added(text):
            return None
        if self._normalize is not None:
            text = self._normalize(text)
            if self._is_plain_still(text) is None or self._has_added(text):
                return None
        words = self._first(text)
        for cut in self._others:
            words = [word for one in words for word in cut(one)]
        return words

    def _has_added(self, text: str) -> bool:
        return bool(self._added) and any(word in text for word in self._added)


class _KnownWords(dict[str, tuple[int, ...]]):
    """Word → its ids, found when they are first asked for."""

    def __init__(self, model: Any, spelled: Callable[[str], str]) -> None:
        super().__init__()
        self._model, self._spelled = model, spelled

    def __missing__(self, word: str) -> tuple[int, ...]:
        ids = tuple(int(token.id) for token in self._model.tokenize(self._spelled(word)))
        if len(word) <= _LONGEST_WORD:
            if len(self) >= _MOST_WORDS:
                self.clear()
            self[word] = ids
        return ids


def word_ids(backend: Any) -> WordIds | None:
    """What finds a tokenizer's ids word by word; None where its way of cutting is not known.

    Args:
        backend: A tokenizer of the tokenizers library that takes special tokens for words; it is not changed.
    """
    described = json.loads(backend.to_str())
    for plain in (_ASCII + _FURTHER + _PUNCTUATION, _ASCII):
        try:
            cuts, spelled = _known_way(described, plain)
            made = WordIds(
                backend.model,
                cuts=cuts,
                spelled=spelled,
                normalize=_normalizing(backend, described["normalizer"], plain),
                plain=plain,
                added=_added_words(described),
            )
        except UnknownWayError:
            return None
        if _agrees(made, backend, plain, spelled):
            return made
    return None


def _known_way(described: dict[str, Any], plain: str) -> tuple[list[Cut], Callable[[str], str]]:
    """How a text of plain characters is cut, and how a word is written for the model.

    Raises:
        UnknownWayError: One of the steps is not known.
    """
    model, cuts = described["model"], list[Cut]()
    if model.get("dropout"):
        raise UnknownWayError
    steps = _steps(described["pre_tokenizer"], "pretokenizers")
    for number, step in enumerate(steps, start=1):
        kind, is_last = step["type"], number == len(steps)
        if kind == "ByteLevel" and is_last and not step["add_prefix_space"]:
            cuts += [_by_pattern(_GPT2, plain)] if step["use_regex"] else []
            return cuts or [_whole], _as_bytes
        if kind == "Split" and step["behavior"] == "Isolated" and not step["invert"] and "Regex" in step["pattern"]:
            cuts.append(_by_pattern(step["pattern"]["Regex"], plain))
        elif kind == "Digits" and step["individual_digits"]:
            cuts.append(_by_pattern(r"\p{N}|[^\p{N}]+", plain))
        elif kind == "WhitespaceSplit":
            cuts.append(str.split)
        elif kind == "Metaspace" and is_last and step["replacement"] == MARK:
            cuts.append(_marked(step.get("prepend_scheme", "always"), is_alone=number == 1))
            cuts += [] if step.get("split", True) else [_before_marks(model)]
        else:
            raise UnknownWayError
    return cuts or [_before_marks(model)], str


def _steps(step: dict[str, Any] | None, inner: str) -> list[dict[str, Any]]:
    """A step, or those that it consists of."""
    if step is None:
        return []
    return [one for each in step[inner] for one in _steps(each, inner)] if step["type"] == "Sequence" else [step]


def _whole(text: str) -> list[str]:
    return [text] if text else []


def _by_pattern(pattern: str, plain: str) -> Cut:
    """Cuts into the matches of a pattern and what comes between them."""
    try:
        compiled = re.compile(python_pattern(pattern, plain))
    except re.error:
        raise UnknownWayError from None

    def cut(text: str) -> list[str]:
        words = compiled.findall(text)
        if "".join(words) == text:
            return words
        return [part for part in _with_gaps(compiled, text) if part]

    return cut


def _with_gaps(compiled: re.Pattern[str], text: str) -> list[str]:
    parts, end = list[str](), 0
    for found in compiled.finditer(text):
        parts += [text[end : found.start()], found[0]]
        end = found.end()
    return [*parts, text[end:]]


_PIECE = re.compile(r"\\p\{[A-Z][a-z]?\}|\\.|\(\?(?:i?:|!|=)|\(\?|\[\^?|&&|\}\+|.", re.DOTALL)
"""What a pattern consists of."""


def python_pattern(pattern: str, plain: str) -> str:
    r"""A tokenizer's pattern as Python reads it, for texts of plain characters.

    Classes of Unicode become lists of the plain characters that are in them.

    Raises:
        UnknownWayError: It holds something whose meaning may differ.

    >>> python_pattern(r" ?\p{N}{1,3}|[^!\p{N}]+", "ab1²!")
    ' ?[1²]{1,3}|[^!1²]+'
    """
    made, in_class = list[str](), False
    for piece in _PIECE.findall(pattern):
        if piece[0] == "\\":
            made.append(_members(piece, plain) if in_class else _alone(piece, plain))
            continue
        if (piece[0] == "[" or piece == "&&") if in_class else piece in ("^", "$", "(?", "}+"):
            raise UnknownWayError
        made.append("(?:" if piece == "(" and not in_class else piece)
        in_class = piece[0] == "[" or (in_class and piece != "]")
    return "".join(made)


def _alone(escaped: str, plain: str) -> str:
    """What an escaped letter or sign is outside of a class."""
    return f"[{_members(escaped, plain)}]" if escaped[1] in "psS" else _members(escaped, plain)


def _members(escaped: str, plain: str) -> str:
    """What an escaped letter or sign is inside of a class."""
    kind = escaped[1]
    if kind in "rnt" or not kind.isalnum():
        return escaped
    if kind == "p" and len(escaped) > 2:
        members = [one for one in plain if unicodedata.category(one).startswith(escaped[3:-1])]
    elif kind in "sS":
        members = [one for one in plain if (one in _SPACE) == (kind == "s")]
    else:
        raise UnknownWayError
    return re.escape("".join(members)) or _NOBODY


def _as_bytes(word: str) -> str:
    """A word as byte-level models have it: a letter a byte."""
    return word.encode("utf-8").decode("latin-1").translate(_LETTERS)


def _letters_of_bytes() -> dict[int, int]:
    own = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = (byte for byte in range(256) if byte not in own)
    return {byte: 256 + number for number, byte in enumerate(others)}


_LETTERS = _letters_of_bytes()


def _marked(scheme: str, *, is_alone: bool) -> Cut:
    """Blanks become marks, one more stands before the text, and every mark begins a word."""
    if scheme not in ("always", "first", "never") or (scheme == "first" and not is_alone):
        raise UnknownWayError
    words = re.compile(f"{MARK}[^{MARK}]*|[^{MARK}]+").findall

    def cut(text: str) -> list[str]:
        text = text.replace(" ", MARK)
        return words(text if scheme == "never" or not text or text[0] == MARK else MARK + text)

    return cut


def _before_marks(model: dict[str, Any]) -> Cut:
    """For BPE over a whole text: where no piece of its vocabulary goes on over a mark, none is ever joined over it."""
    vocabulary = model["vocab"]
    if model["type"] != "BPE" or model.get("ignore_merges") or MARK not in vocabulary:
        raise UnknownWayError
    if any(MARK in piece.lstrip(MARK) for piece in vocabulary):
        raise UnknownWayError
    return re.compile(f"{MARK}+[^{MARK}]*|[^{MARK}]+").findall


def _normalizing(backend: Any, described: dict[str, Any] | None, plain: str) -> Callable[[str], str] | None:
    """What is done to a text first; None where that changes no plain one."""
    kinds = {step["type"] for step in _steps(described, "normalizers")}
    if kinds <= {"NFC"} and unicodedata.is_normalized("NFC", plain):
        return None
    normalize: Callable[[str], str] = backend.normalizer.normalize_str
    if not kinds <= _BY_CHARACTER:
        return normalize
    # A line break of two characters is one to some of them.
    table = {ord(one): changed for one in _ASCII if one != "\r" and (changed := normalize(one)) != one}

    def normalized(text: str) -> str:
        if text.isascii() and "\r" not in text:
            return text.translate(table) if table else text
        return normalize(text)

    return normalized


def _added_words(described: dict[str, Any]) -> tuple[str, ...]:
    """Words that are looked for before a text is cut, without those that hold another one."""
    words = {token["content"] for token in described["added_tokens"] if not token["special"]}
    least = [word for word in words if not any(other != word and other in word for other in words)]
    if len(least) > _MOST_ADDED or "" in words:
        raise UnknownWayError
    return tuple(sorted(least))


def _each_of(characters: str) -> str:
    """A text with every one of them in several places."""
    signs = [one for one in characters if one not in _SPACE]
    return "".join(f"a{one}a {one}b 1{one}2 {one}{one} .{one}. c{one} \n{one}" for one in signs)


def _agrees(made: WordIds, backend: Any, plain: str, spelled: Callable[[str], str]) -> bool:
    """Whether the tokenizer itself cuts trial texts in the same way: some sentences, and every plain character."""
    for text in (*_TRIALS, _each_of(_ASCII), _each_of(plain)):
        words = made.words(text)
        if words is None:
            continue
        whole = backend.normalizer.normalize_str(text) if backend.normalizer is not None else text
        pieces = [piece for piece, _ in backend.pre_tokenizer.pre_tokenize_str(whole)] if backend.pre_tokenizer else []
        if len(pieces) > 1 and pieces != list(map(spelled, words)):
            return False
        if made.ids(text) != backend.encode(text, add_special_tokens=False).ids:
            return False
    return True
