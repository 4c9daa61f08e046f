"""Finds, by trying, the fastest way of scoring options that gives the same numbers as plain rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from flantune.errors import ModelError
from flantune.models.attention.interface import NAME
from flantune.models.checks.isolation import TOLERANCE, logprobs_alone
from flantune.models.language_model import first_line
from flantune.models.modes import quiet
from flantune.models.rope import rope_border
from flantune.models.scoring.option_scorer import OptionScorer
from flantune.models.scoring.plan import ScoringBatch, ScoringLayout, shares_starts
from flantune.models.traits import trait_by
from flantune.models.trial_lengths import outgrown
from flantune.models.trials import FAILURES, made_up_ids
from flantune.packing.packs import EncodedPrompt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flantune.models.language_model import LanguageModel

LADDERS: dict[str, tuple[ScoringLayout, ...]] = {
    "decoder-only": ("line", "prefix", "tree", "cache"),
    "encoder-decoder": ("line", "tree"),
}
"""Layouts to try, fastest first; the last resort is plain rows."""
BOTH_WAYS: tuple[ScoringLayout, ...] = ("line", "tree")
"""Likewise if inputs attend to each other, so that a shared start has other states in each context."""

SHARED = 11
"""Number of tokens that the test's contexts share at the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutReport:
    """The fastest correct layout for a model.

    Attributes:
        layout: The layout.
        refused: Faster layouts that failed, each with the reason.
    """

    layout: ScoringLayout
    refused: tuple[str, ...] = ()


def _arithmetic(lm: LanguageModel) -> tuple[torch.dtype, bool, bool]:
    # Includes the attention, which may be changed after a trial.
    return lm.compute_dtype, lm.model.config._attn_implementation in ("sdpa", NAME), lm.reads_both_ways


@trait_by(_arithmetic)
def scoring_layout(lm: LanguageModel) -> LayoutReport:
    """The fastest layout whose scores equal those of the model's own forward pass on each option alone.

    The trial uses synthetic tokens in float32. It detects models of any name that ignore position ids, masks, or cached
    keys and values.
    """
    refused: list[str] = []
    exact = replace(lm, compute_dtype=torch.float32)
    units = _requests(lm)
    with quiet(lm.model):
        expected = np.array(
            [float(logprobs_alone(exact, unit, target).double().sum()) for unit in units for target in unit.targets]
        )
        for layout in BOTH_WAYS if lm.reads_both_ways else LADDERS[lm.family]:
            # The model itself for an encoder-decoder's lines, so that they are refused unless its dtype is float32.
            batches = _batches(units, layout, shares_starts=shares_starts(lm))
            tried = lm if lm.family == "encoder-decoder" and layout == "line" else exact
            problem = _problem(tried, units, batches, expected)
            if not problem:
                return LayoutReport(layout=layout, refused=tuple(refused))
            refused.append(f"{layout}: {problem}")
    return LayoutReport(layout="rows", refused=tuple(refused))


def _problem(
    lm: LanguageModel, units: Sequence[EncodedPrompt], batches: Sequence[ScoringBatch], expected: NDArray[np.float64]
) -> str:
    """Why a layout does not work for the model; empty if it does."""
    try:
        found = np.concatenate([OptionScorer(lm).score(units, batch).sums for batch in batches])
    except (*FAILURES, ModelError) as error:
        return first_line(error)
    difference = float(np.abs(found - expected).max())
    # Scores are sums over tokens, and so are their differences.
    limit = TOLERANCE * max(len(target) for unit in units for target in unit.targets)
    return "" if difference <= limit else f"a score differs by {difference:.2g} from the option's alone"


def _batches(units: Sequence[EncodedPrompt], layout: ScoringLayout, *, shares_starts: bool) -> list[ScoringBatch]:
    """The requests in order; with rows of different width in one batch if the layout allows it."""
    both = [(0, 1, 2), (3,)] if layout == "cache" else [(0, 1, 2, 3)]
    prefix = units[0].inputs[: SHARED if layout in ("prefix", "line") and shares_starts else 0]
    return [ScoringBatch(layout=layout, units=members, prefix=prefix, positions=0) for members in both]


def _requests(lm: LanguageModel) -> list[EncodedPrompt]:
    """Contexts with a shared start, three of one length, beyond a sliding window; options of various lengths."""
    ids = partial(made_up_ids, lm, drawn=np.random.default_rng(0))
    shared, size = ids(SHARED), max(17, outgrown(lm) + 5)
    # The last one is short if rotary positions change at some length, so that both sides of it occur.
    last = SHARED + 3 if rope_border(lm) else size - 3
    sizes = ((size, (3, 1, 5)), (size, (1,)), (size, (4, 4)), (last, (6, 1, 2)))
    return [
        EncodedPrompt(inputs=np.concatenate([shared, ids(length - SHARED)]), targets=tuple(map(ids, options)))
        for length, options in sizes
    ]
