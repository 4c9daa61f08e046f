"""Which tokens of a segment attend to which: the rule, and masks as numbers to add to the scores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionRule:
    """How tokens attend to each other within a segment.

    Attributes:
        scale: Factor of the scores.
        is_causal: No token attends to later ones, except those in ``Chunk.mutual``. Requires that queries and keys of a
            segment are the same tokens.
        window: Sliding window: how many tokens back a token attends to, itself included (and as many ahead if it is
            mutual); 0: no limit.
        dropout: Share of the attention weights that is dropped; the others are scaled up.
    """

    scale: float
    is_causal: bool
    window: int = 0
    dropout: float = 0.0


def unseen_by(query: int, key: int, window: int, like: Tensor) -> Tensor:
    """The causal mask as numbers to add: minus infinity where attention is not allowed, else 0, [query, key]."""
    # Cut from a square whose size is a power of two, so that few are cached.
    size = 1 << (max(query, key) - 1).bit_length()
    return _unseen_square(size, window, like.dtype, like.device)[:query, :key]


@lru_cache(maxsize=16)
def _unseen_square(size: int, window: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    places = torch.arange(size, device=device)
    back = places[:, None] - places[None]
    hidden = back < 0
    if window:
        hidden |= back >= window
    return torch.zeros(size, size, dtype=dtype, device=device).masked_fill_(hidden, float("-inf"))


def unseen_of_each(mutual: Tensor, query: int, key: int, window: int, like: Tensor) -> Tensor:
    """``unseen_by`` for segments whose first ``mutual`` tokens attend to each other, [rows, 1, query, key].

    >>> unseen_of_each(torch.tensor([2]), 3, 3, 0, torch.zeros(()))[0, 0]
    tensor([[0., 0., -inf],
            [0., 0., -inf],
            [0., 0., 0.]])
    """
    unseen = unseen_by(query, key, window, like)
    size = max(query, key)
    square = unseen_by(size, size, window, like)
    # Hides what is out of the window in either direction: j is too far ahead of i when i is too far back from j.
    either = torch.maximum(square, square.T)[:query, :key]
    is_mutual = torch.arange(size, device=like.device) < mutual[:, None]
    both = is_mutual[:, :query, None] & is_mutual[:, None, :key]
    return torch.where(both, either, unseen)[:, None]
