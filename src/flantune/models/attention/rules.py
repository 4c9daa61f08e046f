"""Who sees whom within a segment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionRule:
    """Who sees whom within a segment.

    Attributes:
        scale: Multiplies the scores.
        is_causal: Nobody sees later tokens, but for those that see each other (``Chunk.mutual``). Queries and keys of a
            segment are then the same tokens.
        window: How many tokens back each one sees, itself included, and as many ahead where it does; 0: no limit.
        dropout: Share of the weights that is dropped, the rest scaled up.
    """

    scale: float
    is_causal: bool
    window: int = 0
    dropout: float = 0.0


def unseen_by(query: int, key: int, window: int, like: Tensor) -> Tensor:
    """Minus infinity where a query must not look, else 0, [query, key]."""
    # The corner of one of few larger ones, so that what is kept stays small.
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
    """``unseen_by`` of several segments, of each of which so many first tokens see each other, [rows, 1, query, key].

    >>> unseen_of_each(torch.tensor([2]), 3, 3, 0, torch.zeros(()))[0, 0]
    tensor([[0., 0., -inf],
            [0., 0., -inf],
            [0., 0., 0.]])
    """
    unseen = unseen_by(query, key, window, like)
    size = max(query, key)
    square = unseen_by(size, size, window, like)
    # A token that is too far ahead for one has it too far back.
    either = torch.maximum(square, square.T)[:query, :key]
    is_mutual = torch.arange(size, device=like.device) < mutual[:, None]
    both = is_mutual[:, :query, None] & is_mutual[:, None, :key]
    return torch.where(both, either, unseen)[:, None]
