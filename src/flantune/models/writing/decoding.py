"""The rules of generation, one row's progress, and stop strings found as the text grows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol

from flantune.errors import ModelError
from flantune.system.keyed_random import mix64

if TYPE_CHECKING:
    from torch import Tensor

    from flantune.models.language_model import LanguageModel
    from flantune.types import Int32

Finish = Literal["eos", "stop", "length"]
Decode = Callable[[Sequence[int]], str]

UNFINISHED = "\ufffd"
"""What a decoder shows for the first bytes of an incomplete character."""

_LONGEST_CHARACTER = 16
"""Number of tokens after which a broken character is accepted; a complete one has at most four bytes."""


_MOST_SILENT = 64
"""Number of tokens without text after which the word before them is dropped: a model may generate padding endlessly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How tokens are chosen, and when generation ends.

    Attributes:
        max_new_tokens: Largest number of tokens, including the end of sequence; fewer if the model runs out of
            positions.
        temperature: 0 takes the most likely token; above 0, tokens are drawn from the softmax of logits divided by it.
        seed: Seed of the draws.
        stop: Stop strings: the answer ends where one begins. They are found across token borders.
        spared: How many stop strings an answer may contain before the next one ends it.
        end_tokens: Tokens that end an answer besides the model's own (``writing.endings``), such as a chat template's
            end of a turn.
    """

    max_new_tokens: int
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    spared: int = 0
    end_tokens: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ModelError("no answer fits into 0 tokens", where="max_new_tokens", hint="set it to 1 or more")
        if not 0.0 <= self.temperature < float("inf"):
            raise ModelError(f"got {self.temperature}", where="temperature", hint="set it to 0 (greedy) or more")
        if "" in self.stop:
            raise ModelError("an empty text would stop every answer at once", where="stop", hint='leave "" out of it')


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """A model's continuation of one input.

    Attributes:
        index: Which of the inputs.
        sample: Which of its samples, from 0.
        tokens: Generated tokens, without the end of sequence but with those of a stop string.
        text: The generated text, cut where a stop string begins.
        finish: Why it ended: the end of sequence, a stop string, or the length limit.
    """

    index: int
    sample: int
    tokens: tuple[int, ...]
    text: str
    finish: Finish


class Writer(Protocol):
    """Anything that continues token ids: ``writing.generate.write``, or another engine with the same signature."""

    def __call__(
        self, lm: LanguageModel, inputs: Sequence[Int32], decoding: Decoding, *, samples: int, batch_tokens: int
    ) -> Iterator[Continuation]:
        """Continuations in the order in which they finish."""


class TextWatch:
    r"""Text that grows by tokens, whose new part is searched for stop strings without decoding the rest again.

    >>> watch = TextWatch(lambda tokens: "".join(map(chr, tokens)), stop=("\n\n",))
    >>> [watch.push(ord(letter)) for letter in "a\nb\n\nc"]
    [False, False, False, False, True, False]
    """

    __slots__ = ("_decode", "_heard", "_longest", "_read", "_spared", "_start", "_stop", "_tokens", "text")

    def __init__(
        self,
        decode: Decode,
        *,
        stop: Sequence[str],
        spared: int = 0,
        heard: Callable[[str], None] | None = None,
    ) -> None:
        self._decode, self._stop, self._spared, self._heard = decode, tuple(stop), spared, heard
        self._longest = max(map(len, stop), default=1)
        self._tokens: list[int] = []
        # The text is known up to token ``_read``. Tokens from ``_start`` are decoded along with new ones, since how a
        # token reads depends on its left neighbor (a space that is only shown between words, say).
        self._start = self._read = 0
        self.text = ""

    def again(self) -> TextWatch:
        """A fresh watch with the same settings."""
        return TextWatch(self._decode, stop=self._stop, spared=self._spared, heard=self._heard)

    def push(self, token: int) -> bool:
        """Adds a token; whether it completes the answer."""
        self._tokens.append(token)
        now = self._decode(self._tokens[self._start :])
        if now.endswith(UNFINISHED) and len(self._tokens) - self._read < _LONGEST_CHARACTER:
            return False
        fresh = now[len(self._decode(self._tokens[self._start : self._read])) :]
        # A special token has no text, so the word before it stays the neighbor.
        if fresh or self._read - self._start >= _MOST_SILENT:
            self._start = self._read
        self._read = len(self._tokens)
        self.text += fresh
        if not fresh:
            return False
        if self._heard is not None:
            self._heard(fresh)
        tail = self.text[max(0, len(self.text) - len(fresh) - self._longest + 1) :]
        if any(stop in tail for stop in self._stop):
            cut = cut_at_stop(self.text, self._stop, spared=self._spared)
            return len(cut) < len(self.text)
        return False


def cut_at_stop(text: str, stop: Sequence[str], *, spared: int = 0) -> str:
    r"""The text before the first stop string, or before a later one if some are spared.

    >>> cut_at_stop("Paris\n\nQ: next", ("\n\n", "Q:")), cut_at_stop("Paris", ("\n\n",))
    ('Paris', 'Paris')
    >>> cut_at_stop("First.\n\nSecond.\n\nQ: next", ("\n\n",), spared=1)
    'First.\n\nSecond.'
    """
    at, length = 0, 0
    for _ in range(spared + 1):
        start = at + length
        found = [(place, len(one)) for one in stop if (place := text.find(one, start)) >= 0]
        if not found:
            return text
        at, length = min(found)
    return text[:at]


@dataclass(slots=True, kw_only=True, eq=False)
class Row:
    """One answer in progress.

    Attributes:
        prompt: Which of the distinct prompts.
        sample: Which of its samples.
        inputs: The prompt's tokens.
        room: Largest number of tokens to generate.
        key: Its random stream's key.
        watch: Its text, if it is needed during generation.
        tokens: Tokens generated so far.
    """

    prompt: int
    sample: int
    inputs: Int32
    room: int
    key: int
    watch: TextWatch | None
    tokens: list[int] = field(default_factory=list)

    @property
    def next_key(self) -> int:
        """The random number of the next token."""
        return mix64(self.key, len(self.tokens))

    def add(self, token: int, *, end_tokens: Collection[int]) -> Finish | None:
        """Adds the next token; returns the reason to stop, if any."""
        if token in end_tokens:
            return "eos"
        self.tokens.append(token)
        if self.watch is not None and self.watch.push(token):
            return "stop"
        return "length" if len(self.tokens) >= self.room else None

    def again(self) -> Row:
        """The same row before its first token."""
        return replace(self, tokens=[], watch=self.watch.again() if self.watch is not None else None)


def by_prompt(rows: Sequence[Row]) -> list[tuple[Row, ...]]:
    """The rows of each prompt, one per sample."""
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row.prompt, []).append(row)
    return [tuple(group) for group in found.values()]


Method = Literal["shared", "joining", "mixed", "even", "uncached", "growing"]
"""How the rows of a batch are combined: any lengths side by side, with one copy of shared starts; the same with a copy
each ("joining": an encoder-decoder's, whose next rows join those in progress); equal lengths only; everything read
again for each token. The first that a model passes the test with is used (``writing.check``). "growing" is "even" for
answers that may grow beyond a length at which rotary positions change."""

Ended = tuple[Row, Finish]
Trace = Callable[[Row, "Tensor"], None]
Choose = Callable[["Tensor", Sequence[Row]], "list[Finish | None]"]
"""Chooses each row's next token from its logits; returns why each row ends, or None."""

ADMIT_SHARE = 1 / 4
"""Free slots are filled once they are this share of all: reading prompts together is cheaper than one by one."""
