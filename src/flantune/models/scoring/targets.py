"""Common to all ways of reading options: scores of the target tokens, summed by option."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from flantune.errors import ModelError
from flantune.models.forms.last_layer import only_at
from flantune.models.forms.log_softmax import log_sums
from flantune.models.heads import ROWS, logits_of
from flantune.models.language_model import as_tensor, embedded_tokens

if TYPE_CHECKING:
    from flantune.models.heads import Head
    from flantune.models.language_model import LanguageModel
    from flantune.packing.packs import TargetTokens
    from flantune.types import Int32

LIMIT = "packing.max_input_tokens"
"""The setting to lower if a prompt with its option is too long."""
CHUNK_ELEMENTS = 2**21
"""Largest number of logits in memory at once, on a CPU (8 MiB in float32)."""
CHUNK_ROWS = 128
"""Smallest number of positions at once, so that the head's weights are not read too often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemScores:
    """A model's scores for each option of a batch; options are numbered over the whole batch.

    Attributes:
        sums: Summed log-likelihood (natural log, summed in float64), [options].
        greedy: Whether every token is the most likely one, [options].
    """

    sums: NDArray[np.float64]
    greedy: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class PrefixStates:
    """Keys and values of tokens that many rows start with.

    Attributes:
        layers: Keys and values of each layer, [1, heads, tokens, width].
    """

    tokens: Int32
    layers: tuple[tuple[Tensor, Tensor], ...]


def read_prefix(lm: LanguageModel, tokens: Int32) -> PrefixStates:
    """Reads tokens once for all rows that start with them."""
    cache: Any = DynamicCache()
    model: Any = lm.model.base_model
    # Of the last layer, only keys and values are needed.
    with only_at(lm, np.zeros(1, dtype=np.int64), len(tokens)):
        model(input_ids=as_tensor(tokens, lm.device)[None], past_key_values=cache, use_cache=True)
    layers = tuple((layer.keys, layer.values) for layer in cache.layers)
    if not layers or any(keys is None or keys.shape[-2] != len(tokens) for keys, _ in layers):
        raise ModelError("the model does not cache keys and values", where="model")
    return PrefixStates(tokens, layers)


def score_targets(
    lm: LanguageModel, head: Head | None, outputs: Tensor, targets: TargetTokens
) -> tuple[Tensor, Tensor]:
    """Log-probability of each target token, and whether it is the most likely; the head runs once per position.

    Args:
        lm: The model.
        head: Computes logits from hidden states; None: ``outputs`` are logits.
        outputs: [rows, length, width].
        targets: The target tokens and their positions.
    """
    length = outputs.shape[1]
    places = targets.row.astype(np.int64) * length + targets.position
    unique, which = np.unique(places, return_inverse=True)
    states = outputs.reshape(-1, outputs.shape[2])[torch.from_numpy(unique).to(lm.device)]
    tokens = torch.from_numpy(targets.token).to(lm.device, torch.long)
    at = torch.from_numpy(which).to(lm.device)
    logprobs = torch.empty(len(tokens), dtype=torch.float32, device=lm.device)
    greedy = torch.empty(len(tokens), dtype=torch.bool, device=lm.device)
    size = _chunk_rows(lm)
    for start in range(0, len(unique), size):
        chunk = states[start : start + size]
        logits = logits_of(lm, head, chunk, multiple=ROWS)
        with torch.autocast(lm.device.type, enabled=False):
            total, best = log_sums(logits)
        asked = torch.from_numpy(np.flatnonzero((which >= start) & (which < start + size))).to(lm.device)
        place = at[asked] - start
        logprobs[asked] = logits[place, tokens[asked]].float() - total[place]
        greedy[asked] = best[place] == tokens[asked]
    return logprobs, greedy


def _chunk_rows(lm: LanguageModel) -> int:
    """Number of positions whose logits are computed at once."""
    elements = CHUNK_ELEMENTS if lm.device.type == "cpu" else 2**23
    return ROWS * max(CHUNK_ROWS // ROWS, elements // (ROWS * embedded_tokens(lm.model)))


def score_items(
    lm: LanguageModel, head: Head | None, outputs: Tensor, targets: TargetTokens, *, count: int
) -> ItemScores:
    """Scores of options numbered from 0 to ``count``, from a model's outputs at their tokens; see ``score_targets``."""
    return by_item(targets, *score_targets(lm, head, outputs, targets), count)


def by_item(targets: TargetTokens, logprobs: Tensor, greedy: Tensor | None, count: int) -> ItemScores:
    """Sums of each option over its tokens, numbered from 0 to ``count``."""
    weights = logprobs.double().cpu().numpy()
    sums = np.bincount(targets.item, weights=weights, minlength=count).astype(np.float64)
    missed = ~greedy.cpu().numpy() if greedy is not None else np.ones(len(weights), dtype=bool)
    return ItemScores(sums=sums, greedy=np.bincount(targets.item, weights=missed, minlength=count) == 0)


_Layer: Any = DynamicLayer


class _SharedLayer(_Layer):  # type: ignore[misc]
    """A layer's keys and values of the shared start; those that rows add are used and dropped."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.keys, self.values, self.is_initialized = keys, values, True

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        rows = key_states.shape[0]
        keys = torch.cat([self.keys.expand(rows, -1, -1, -1), key_states], dim=-2)
        return keys, torch.cat([self.values.expand(rows, -1, -1, -1), value_states], dim=-2)


def shared_cache(prefix: PrefixStates) -> Cache:
    """A cache in which all rows use one copy of a prefix, so that its memory does not grow with the number of rows."""
    return Cache(layers=[_SharedLayer(keys, values) for keys, values in prefix.layers])
