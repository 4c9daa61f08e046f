"""Scores options from cached keys and values, for models that ignore given position ids or masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers.cache_utils import DynamicCache

from flantune.errors import ModelError
from flantune.models.forward import check_positions
from flantune.models.heads import find_head, outputs_of
from flantune.models.language_model import as_tensor
from flantune.models.scoring.targets import LIMIT, ItemScores, score_items
from flantune.packing.arrays import first_items
from flantune.packing.packs import EncodedPrompt, TargetTokens

if TYPE_CHECKING:
    from torch import Tensor

    from flantune.models.heads import Head
    from flantune.models.language_model import LanguageModel


def cached_scores(lm: LanguageModel, units: Sequence[EncodedPrompt]) -> ItemScores:
    """Scores of all options after contexts of one length.

    The contexts are read once, without padding; their cache is repeated for each option of several tokens, and the
    options are read after it, padded on the right, where no token attends. No masks or position ids are given, so the
    model's own are right, whatever their kind (ALiBi, learned, rotary).
    """
    length = len(units[0].inputs)
    if any(len(unit.inputs) != length for unit in units):
        raise ModelError("contexts kept together must be of one length", where="models.scoring.kept_contexts")
    head = find_head(lm)
    check_positions(lm, length + max(len(target) for unit in units for target in unit.targets) - 1, setting=LIMIT)
    cache = DynamicCache()
    contexts = as_tensor(np.stack([unit.inputs for unit in units]), lm.device)
    first = _read(lm, contexts, cache, head)[:, -1:]
    count = sum(len(unit.targets) for unit in units)
    opening = score_items(lm, head, first, _first_tokens(units), count=count)
    rest = _options(units)
    if not rest:
        return opening
    cache.batch_select_indices(torch.tensor([row for row, _, _ in rest], device=lm.device))
    fed = np.zeros((len(rest), max(len(target) for _, _, target in rest) - 1), dtype=np.int32)
    for row, (_, _, target) in enumerate(rest):
        fed[row, : len(target) - 1] = target[:-1]
    outputs = _read(lm, as_tensor(fed, lm.device), cache, head)
    closing = score_items(lm, head, outputs, _later_tokens(rest), count=count)
    return ItemScores(sums=opening.sums + closing.sums, greedy=opening.greedy & closing.greedy)


_Option = tuple[int, int, "np.ndarray[Any, np.dtype[np.int32]]"]
"""Row of its context, number of the option over all contexts, its tokens."""


def _options(units: Sequence[EncodedPrompt]) -> list[_Option]:
    """The options of several tokens."""
    items = first_items(units)
    return [
        (row, items[row] + option, target)
        for row, unit in enumerate(units)
        for option, target in enumerate(unit.targets)
        if len(target) > 1
    ]


def _first_tokens(units: Sequence[EncodedPrompt]) -> TargetTokens:
    rows = np.repeat(np.arange(len(units)), [len(unit.targets) for unit in units]).astype(np.int32)
    tokens = np.array([target[0] for unit in units for target in unit.targets], dtype=np.int32)
    items = np.arange(len(tokens), dtype=np.int32)
    return TargetTokens(row=rows, position=np.zeros_like(rows), token=tokens, item=items)


def _later_tokens(options: Sequence[_Option]) -> TargetTokens:
    sizes = [len(target) - 1 for _, _, target in options]
    return TargetTokens(
        row=np.repeat(np.arange(len(options)), sizes).astype(np.int32),
        position=np.concatenate([np.arange(size) for size in sizes]).astype(np.int32),
        token=np.concatenate([target[1:] for _, _, target in options]).astype(np.int32),
        item=np.repeat([item for _, item, _ in options], sizes).astype(np.int32),
    )


def _read(lm: LanguageModel, tokens: Tensor, cache: DynamicCache, head: Head | None) -> Tensor:
    return outputs_of(lm, head, {"input_ids": tokens, "past_key_values": cache, "use_cache": True})
