"""The lengths in tokens of the first prompts of a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flantune.packing.packs import Counts

if TYPE_CHECKING:
    from flantune.packing.stream import PromptStream

LOOKED_AT = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Lengths in tokens of the first prompts of a mixture, for the model.

    Attributes:
        prompts: Number of prompts.
        inputs, targets: Median, 95th percentile and largest number of tokens.
        shortened: Share of prompts whose inputs are cut.
        left_out: Share of prompts whose target is too long.
        exemplars_dropped: Exemplars left out for lack of room, per prompt.
    """

    prompts: int
    inputs: tuple[int, int, int]
    targets: tuple[int, int, int]
    shortened: float
    left_out: float
    exemplars_dropped: float


def look_at_lengths(stream: PromptStream) -> Lengths:
    """The lengths of the first prompts."""
    draws = stream.draws(0, LOOKED_AT)
    counts = sum((draw.counts for draw in draws), Counts())
    kept = [draw.prompt for draw in draws if draw.prompt is not None]
    return Lengths(
        prompts=len(draws),
        inputs=_spread([len(prompt.inputs) for prompt in kept]),
        targets=_spread([len(prompt.targets[0]) for prompt in kept]),
        shortened=counts.inputs_shortened / len(draws),
        left_out=counts.prompts_dropped / len(draws),
        exemplars_dropped=counts.exemplars_dropped / len(draws),
    )


def _spread(lengths: Sequence[int]) -> tuple[int, int, int]:
    if not lengths:
        return (0, 0, 0)
    median, most = np.percentile(lengths, (50, 95), method="higher")
    return (int(median), int(most), max(lengths))
