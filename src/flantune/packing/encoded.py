"""Values of encoding: prompts as token ids, and what was left out to make them fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from flantune.packing.packs import Counts, EncodedPrompt
from flantune.types import Int32

Continuations = Literal["target", "options", "none"]
Tokenization = Literal["separate", "joint"]
Truncation = Literal["middle", "left", "drop"]
JointCut = Literal["common", "length"]

EOS_MARK = "\ue000eos\ue000"
"""Represents the end-of-sequence token in a text until it is tokenized, with private-use characters that no dataset
has, so that "<eos>" in the data stays text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Prompts as token ids, and what was left out to make them fit.

    Attributes:
        prompts: One entry per prompt, in order; None where the prompt was dropped because a target is too long.
        each: What happened to each prompt, parallel to ``prompts``. ``positions`` is zero until it is laid out.
    """

    prompts: tuple[EncodedPrompt | None, ...]
    each: tuple[Counts, ...]

    @property
    def counts(self) -> Counts:
        """What happened to all prompts together."""
        return sum(self.each, Counts())

    def __len__(self) -> int:
        return len(self.prompts)

    def __iter__(self) -> Iterator[EncodedPrompt | None]:
        return iter(self.prompts)

    def __getitem__(self, index: int) -> EncodedPrompt | None:
        return self.prompts[index]


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid:
    """Inputs before they are fitted to the budget.

    Attributes:
        before: Ids that are never cut: what a chat template writes before the user's words.
        inner: Ids that may be cut.
        after: Ids that are never cut: what a chat template writes between the user's words and the reply.
    """

    inner: list[int]
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.before) + len(self.inner) + len(self.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedInputs:
    """Inputs within their budget.

    Attributes:
        tokens: Their ids.
        shots: Exemplars left.
        exemplars_dropped: Exemplars that were dropped.
        is_shortened: Whether tokens were cut too.
    """

    tokens: list[int]
    shots: int
    exemplars_dropped: int
    is_shortened: bool


def id_array(tokens: Sequence[int]) -> Int32:
    """Ids as an array, as used in packs."""
    return np.asarray(tokens, dtype=np.int32)


def common_length(left: Sequence[int] | Int32, right: Sequence[int] | Int32) -> int:
    """The length of the common beginning.

    >>> common_length([1, 2, 3], [1, 2, 4, 5])
    2
    """
    size = min(len(left), len(right))
    differ = np.flatnonzero(np.asarray(left[:size]) != np.asarray(right[:size]))
    return int(differ[0]) if len(differ) else size
