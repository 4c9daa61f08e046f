"""What there is to learn from a text: its ids become what a model reads and what it is to write."""

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
    """The random numbers of one draw, in order: a function of its key alone.

    >>> first, again = Chances(7), Chances(7)
    >>> [first.below(10) for _ in range(5)] == [again.below(10) for _ in range(5)]
    True
    """

    def __init__(self, key: int) -> None:
        self._key, self._drawn = key, 0

    def below(self, size: int) -> int:
        """A whole number from 0 on, less than ``size``."""
        self._drawn += 1
        return mix64(self._key, self._drawn) % size

    def between(self, least: int, most: int) -> int:
        """A whole number, both ends included."""
        return least + self.below(most - least + 1)

    def happens(self, share: float) -> bool:
        """True in this share of all cases."""
        return self.below(1 << 53) < share * (1 << 53)

    def one_of(self, values: Sequence[_Value]) -> _Value:
        """One of the values, each as likely."""
        return values[self.below(len(values))]

    def some_below(self, size: int, count: int) -> list[int]:
        """``count`` different whole numbers from 0 on, less than ``size``, in order; each choice as likely."""
        # Floyd's way: as many draws as numbers, however large the range is.
        found: set[int] = set()
        for most in range(size - count, size):
            drawn = self.below(most + 1)
            found.add(most if drawn in found else drawn)
        return sorted(found)


class Objective(Protocol):
    """A way to learn from text. A frozen dataclass: its ``repr`` is complete and part of fingerprints."""

    @property
    def family(self) -> Family:
        """Kind of model that can learn this way."""

    def take(self, text: TextAhead, chances: Chances) -> EncodedPrompt:
        """The next draw: takes as many ids as it wants, and says which are read and which are to be written.

        Args:
            text: The corpus from the draw's place on; at least one id must be taken.
            chances: All that may be random in it.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Causal:
    """Each token from those before it in its draw.

    The first token of a draw is read only; every other is asked for.

    Attributes:
        lengths: Tokens of a draw: one of these, each as likely. A length named twice comes twice as often.
        documents_apart: A draw is one document, or a piece of one that is longer. False: as many as fill it.
    """

    lengths: tuple[int, ...]
    documents_apart: bool = False
    family: Literal["decoder-only"] = "decoder-only"

    def take(self, text: TextAhead, chances: Chances) -> EncodedPrompt:
        """The next tokens: of one document, or of as many as it takes."""
        length = chances.one_of(self.lengths)
        ids = id_array(text.ids_of_one(length) if self.documents_apart else text.ids(length))
        return EncodedPrompt(inputs=ids[:1], targets=(ids[1:],))
