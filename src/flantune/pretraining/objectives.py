"""Pretraining objectives: which tokens of a text the model reads, and which it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from flantune.packing.encoded import id_array
from flantune.packing.packs import EncodedPrompt
from flantune.system.keyed_random import mix64
from flantune.types import Family

if TYPE_CHECKING:
    from flantune.pretraining.tokenized_corpus import TextAhead

_Value = TypeVar("_Value")


class Chances:
    """The sequence of random numbers of one draw; it depends only on the key.

    >>> first, again = Chances(7), Chances(7)
    >>> [first.below(10) for _ in range(5)] == [again.below(10) for _ in range(5)]
    True
    """

    def __init__(self, key: int) -> None:
        self._key, self._drawn = key, 0

    def below(self, size: int) -> int:
        """An integer from 0 to ``size`` − 1."""
        self._drawn += 1
        return mix64(self._key, self._drawn) % size

    def between(self, least: int, most: int) -> int:
        """An integer from ``least`` to ``most``, both included."""
        return least + self.below(most - least + 1)

    def happens(self, share: float) -> bool:
        """True with this probability."""
        return self.below(1 << 53) < share * (1 << 53)

    def one_of(self, values: Sequence[_Value]) -> _Value:
        """One of the values, with equal probability."""
        return values[self.below(len(values))]

    def some_below(self, size: int, count: int) -> list[int]:
        """``count`` different integers from 0 to ``size`` − 1, in order; all subsets are equally likely."""
        # Floyd's algorithm: ``count`` draws, however large the range.
        found: set[int] = set()
        for most in range(size - count, size):
            drawn = self.below(most + 1)
            found.add(most if drawn in found else drawn)
        return sorted(found)


class Objective(Protocol):
    """A pretraining objective: a frozen dataclass, whose complete ``repr`` is part of fingerprints."""

    @property
    def family(self) -> Family:
        """The family of models that it is for."""

    def take(self, text: TextAhead, chances: Chances) -> EncodedPrompt:
        """The next draw: ids taken from the text, divided into those to read (inputs) and to predict (targets).

        Args:
            text: The corpus, from the draw's place on; at least one id must be taken.
            chances: The draw's only source of random numbers.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Causal:
    """Next-token prediction: each token from those before it in its draw.

    The first token of a draw is only read; all others are predicted.

    Attributes:
        lengths: The possible numbers of tokens of a draw, equally likely; one that is listed twice is twice as likely.
        documents_apart: Whether a draw is one document, or a piece of a longer one, instead of as many as fill it.
    """

    lengths: tuple[int, ...]
    documents_apart: bool = False
    family: Literal["decoder-only"] = "decoder-only"

    def take(self, text: TextAhead, chances: Chances) -> EncodedPrompt:
        """The next tokens: of one document, or of as many as are needed."""
        length = chances.one_of(self.lengths)
        ids = id_array(text.ids_of_one(length) if self.documents_apart else text.ids(length))
        return EncodedPrompt(inputs=ids[:1], targets=(ids[1:],))
