r"""Ids of plain text, found once for each word: the tokenizer's own ids in a fraction of the time.

Most tokenizers first split a text into words, by a pattern or at spaces, and then find the ids of each word
independently. Splitting is cheap, finding ids is not, and most words recur. So the splitting is done here, and the
tokenizer's own model is only called for new words.

This works for tokenizers with a known way of splitting (``word_ids`` reads it from their description), and for text of
plain characters: ASCII, and letters and punctuation of Latin, Greek and Cyrillic script that the tokenizer was found to
classify in the same way, by trying each. For anything else the tokenizer itself is used.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

MARK = "\u2581"
"""SentencePiece's mark for a space."""

_SPACE = "\t\n\r "
_ASCII = _SPACE + "".join(map(chr, range(33, 127)))
# Without characters that fold to an ASCII letter, are invisible, or are composed of two.
_FURTHER = "".join(map(chr, (*range(0xA1, 0xAD), *range(0xAE, 0x17F), *range(0x391, 0x3CA), *range(0x410, 0x450))))
_PUNCTUATION = "\u2010\u2013\u2014\u2018\u2019\u201c\u201d\u2022\u2026\u20ac"

_NOBODY = "\ue005"
"""Represents a class without plain characters."""

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_BY_CHARACTER = {"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Precompiled"}
"""Normalizers that process ASCII characters one by one."""
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
    """A tokenizer splits texts in an unknown way."""


class WordIds:
    """Ids of texts, word by word.

    Args:
        model: The tokenizer's model, which finds the ids of a word.
        cuts: The steps that split a text into words.
        spelled: Turns a word into the model's spelling.
        normalize: Applied to a text first; None: nothing.
        plain: The characters with a known class.
        added: Words that the tokenizer looks for before splitting.

    Attributes:
        is_context_free: A text between two control tokens is split like a separate text.
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
        """The ids; None if the text is not plain."""
        words = self.words(text)
        return None if words is None else list(chain.from_iterable(map(self._known.__getitem__, words)))

    def words(self, text: str) -> list[str] | None:
        """The words in the model's spelling; None if the text is not plain."""
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
    """Word → its ids, found on first use."""

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
    """A finder of a tokenizer's ids word by word; None if its way of splitting is unknown.

    Args:
        backend: A tokenizer of the tokenizers library that treats special tokens as text; it is not changed.
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
    """How a text of plain characters is split, and how words are spelled for the model.

    Raises:
        UnknownWayError: One of the steps is unknown.
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
    """A step, or the steps that it consists of."""
    if step is None:
        return []
    return [one for each in step[inner] for one in _steps(each, inner)] if step["type"] == "Sequence" else [step]


def _whole(text: str) -> list[str]:
    return [text] if text else []


def _by_pattern(pattern: str, plain: str) -> Cut:
    """Splits into the matches of a pattern and the texts between them."""
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
"""The elements of a pattern."""


def python_pattern(pattern: str, plain: str) -> str:
    r"""A tokenizer's pattern in Python's syntax, for texts of plain characters.

    Unicode classes become lists of their plain characters.

    Raises:
        UnknownWayError: It contains something whose meaning may differ.

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
    """The meaning of an escaped character outside of a class."""
    return f"[{_members(escaped, plain)}]" if escaped[1] in "psS" else _members(escaped, plain)


def _members(escaped: str, plain: str) -> str:
    """The meaning of an escaped character inside a class."""
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
    """A word in the spelling of byte-level models: one letter per byte."""
    return word.encode("utf-8").decode("latin-1").translate(_LETTERS)


def _letters_of_bytes() -> dict[int, int]:
    own = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = (byte for byte in range(256) if byte not in own)
    return {byte: 256 + number for number, byte in enumerate(others)}


_LETTERS = _letters_of_bytes()


def _marked(scheme: str, *, is_alone: bool) -> Cut:
    """Spaces become marks, the text starts with one more, and every mark begins a word."""
    if scheme not in ("always", "first", "never") or (scheme == "first" and not is_alone):
        raise UnknownWayError
    words = re.compile(f"{MARK}[^{MARK}]*|[^{MARK}]+").findall

    def cut(text: str) -> list[str]:
        text = text.replace(" ", MARK)
        return words(text if scheme == "never" or not text or text[0] == MARK else MARK + text)

    return cut


def _before_marks(model: dict[str, Any]) -> Cut:
    """For BPE over a whole text: if no piece of the vocabulary crosses a mark, none is ever merged across one."""
    vocabulary = model["vocab"]
    if model["type"] != "BPE" or model.get("ignore_merges") or MARK not in vocabulary:
        raise UnknownWayError
    if any(MARK in piece.lstrip(MARK) for piece in vocabulary):
        raise UnknownWayError
    return re.compile(f"{MARK}+[^{MARK}]*|[^{MARK}]+").findall


def _normalizing(backend: Any, described: dict[str, Any] | None, plain: str) -> Callable[[str], str] | None:
    """Normalization of a text; None if it does not change plain ones."""
    kinds = {step["type"] for step in _steps(described, "normalizers")}
    if kinds <= {"NFC"} and unicodedata.is_normalized("NFC", plain):
        return None
    normalize: Callable[[str], str] = backend.normalizer.normalize_str
    if not kinds <= _BY_CHARACTER:
        return normalize
    # Some of them treat a line break of two characters as one.
    table = {ord(one): changed for one in _ASCII if one != "\r" and (changed := normalize(one)) != one}

    def normalized(text: str) -> str:
        if text.isascii() and "\r" not in text:
            return text.translate(table) if table else text
        return normalize(text)

    return normalized


def _added_words(described: dict[str, Any]) -> tuple[str, ...]:
    """Words that are looked for before a text is split, without those that contain another one."""
    words = {token["content"] for token in described["added_tokens"] if not token["special"]}
    least = [word for word in words if not any(other != word and other in word for other in words)]
    if len(least) > _MOST_ADDED or "" in words:
        raise UnknownWayError
    return tuple(sorted(least))


def _each_of(characters: str) -> str:
    """A text with each of them in several places."""
    signs = [one for one in characters if one not in _SPACE]
    return "".join(f"a{one}a {one}b 1{one}2 {one}{one} .{one}. c{one} \n{one}" for one in signs)


def _agrees(made: WordIds, backend: Any, plain: str, spelled: Callable[[str], str]) -> bool:
    """Whether the tokenizer itself splits trial texts in the same way: some sentences, and every plain character."""
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
