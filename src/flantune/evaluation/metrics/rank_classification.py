"""Rank classification: the answer is the option that is likeliest to the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flantune.errors import EvaluationError
from flantune.settings.protocols import ScoreNormalization
from flantune.types import Sample

Normalization = ScoreNormalization
NORMALIZATIONS: tuple[Normalization, ...] = ("sum", "token", "character", "byte")
"""Normalizations available from one pass, so that all of them are always reported."""
BASELINES: tuple[Normalization, ...] = ("mutual_information", "domain", "contextual")
"""Normalizations that need scores in other contexts too (``asking.baselines``), so they are measured on demand."""

# Float32 arithmetic does not distinguish sums of log-probabilities this close: the same option in another batch can
# differ by as much. Measured: below 1e-5 nats for answers of up to 40 tokens.
_ABSOLUTE_TOLERANCE = 1e-5
_RELATIVE_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen option, and whether another one scored the same."""

    index: int
    is_tie: bool


def choose(scores: Sequence[float]) -> Choice:
    """The option with the highest score; among tied options, the one listed first.

    >>> choose([-3.0, -1.0, -2.0])
    Choice(index=1, is_tie=False)
    >>> choose([-2.0, -1.0, -1.0])
    Choice(index=1, is_tie=True)
    """
    best = best_options(scores)
    return Choice(best[0], len(best) > 1)


def best_options(scores: Sequence[float]) -> tuple[int, ...]:
    """Every option with the highest score, in order; more than one is a tie.

    >>> best_options([-1.0, -2.0, -1.0])
    (0, 2)
    """
    best = max(scores)
    tolerance = max(_ABSOLUTE_TOLERANCE, _RELATIVE_TOLERANCE * abs(best))
    return tuple(index for index, score in enumerate(scores) if best - score <= tolerance)


def option_scores(sample: Sample, normalization: Normalization = "sum") -> tuple[float, ...]:
    """The score of each option of a sample, in nats (per token, character or UTF-8 byte of the option).

    An empty option counts as one character. Normalizations by a baseline subtract the sample's.

    Raises:
        EvaluationError: The samples were made without the baselines that this normalization needs.

    Paper: T0 (sum, no normalization), section 5; FLAN 2021, section 2.3.

    >>> sample = Sample(task="t", split="test", row=0, template="a", shots=0, inputs="", options=("no", "maybe"),
    ...                 scores=(-3.0, -4.0), lengths=(2, 2))
    >>> option_scores(sample), option_scores(sample, "token"), option_scores(sample, "character")
    ((-3.0, -4.0), (-1.5, -2.0), (-1.5, -0.8))
    """
    if normalization in BASELINES:
        return tuple(score - own for score, own in zip(sample.scores, _baselines(sample, normalization), strict=True))
    sizes = _sizes(sample, normalization)
    return tuple(score / max(size, 1) for score, size in zip(sample.scores, sizes, strict=True))


def _baselines(sample: Sample, normalization: Normalization) -> Sequence[float]:
    if not sample.baselines:
        hint = "measure again with it: what options score without the question was not computed"
        raise EvaluationError(f'no baselines for "{normalization}" in the samples', where=sample.task, hint=hint)
    return sample.baselines


def _sizes(sample: Sample, normalization: Normalization) -> Sequence[int]:
    if normalization == "token":
        return sample.lengths
    if normalization == "character":
        return [len(option) for option in sample.options]
    if normalization == "byte":
        return [len(option.encode("utf-8")) for option in sample.options]
    return [1] * len(sample.scores)
