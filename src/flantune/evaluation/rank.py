"""Rank classification: the answer is the option the model finds likeliest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from flantune.types import Sample

Normalization = Literal["sum", "token", "character", "byte"]
NORMALIZATIONS: tuple[Normalization, ...] = ("sum", "token", "character", "byte")

# Two sums of float32 log-probabilities this near each other are not told apart by the arithmetic: the same option
# scored in another batch moves by as much. Measured: below 1e-5 nats for answers of up to 40 tokens.
_ABSOLUTE_TOLERANCE = 1e-5
_RELATIVE_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Choice:
    """The option chosen, and whether another one scored the same."""

    index: int
    is_tie: bool


def choose(scores: Sequence[float]) -> Choice:
    """The option with the highest score; of options that tie, the one listed first.

    >>> choose([-3.0, -1.0, -2.0])
    Choice(index=1, is_tie=False)
    >>> choose([-2.0, -1.0, -1.0])
    Choice(index=1, is_tie=True)
    """
    best = max(scores)
    tolerance = max(_ABSOLUTE_TOLERANCE, _RELATIVE_TOLERANCE * abs(best))
    near = [index for index, score in enumerate(scores) if best - score <= tolerance]
    return Choice(near[0], len(near) > 1)


def option_scores(sample: Sample, normalization: Normalization = "sum") -> tuple[float, ...]:
    """The score of each option of a sample, in nats (per token, character or UTF-8 byte of the option).

    An empty option counts as one character.

    Paper: T0 (sum, no normalization), section 5; FLAN 2021, section 2.3.

    >>> sample = Sample(task="t", split="test", row=0, template="a", shots=0, inputs="", options=("no", "maybe"),
    ...                 scores=(-3.0, -4.0), lengths=(2, 2))
    >>> option_scores(sample), option_scores(sample, "token"), option_scores(sample, "character")
    ((-3.0, -4.0), (-1.5, -2.0), (-1.5, -0.8))
    """
    sizes = _sizes(sample, normalization)
    return tuple(score / max(size, 1) for score, size in zip(sample.scores, sizes, strict=True))


def _sizes(sample: Sample, normalization: Normalization) -> Sequence[int]:
    if normalization == "token":
        return sample.lengths
    if normalization == "character":
        return [len(option) for option in sample.options]
    if normalization == "byte":
        return [len(option.encode("utf-8")) for option in sample.options]
    return [1] * len(sample.scores)
