"""Attention to two sets of keys, combined from attention to each."""

from __future__ import annotations

import torch
from torch import Tensor

Found = tuple[Tensor, Tensor]
"""Attention, [tokens, heads, width], and the base-2 log-sum-exp of each query's scores, [heads, tokens]."""


def joined(one: Found, other: Found) -> Found:
    """Attention to the union of two sets of keys, from attention to each.

    >>> one = torch.tensor([[[2.0]]]), torch.tensor([[0.0]])
    >>> mixed, logs = joined(one, (torch.tensor([[[6.0]]]), torch.tensor([[0.0]])))
    >>> mixed.item(), logs.item()
    (4.0, 1.0)

    Args:
        one: Its log-sum-exp must be finite wherever that of ``other`` is not.
        other: Its log-sum-exp is minus infinity for queries that attend to none of its keys.
    """
    top = torch.maximum(one[1], other[1])
    weights = [torch.exp2(logs - top) for logs in (one[1], other[1])]
    total = weights[0] + weights[1]
    share = (weights[1] / total).T[..., None]
    # Where ``other`` has no keys its attention is undefined, perhaps NaN; a weight of 0 alone would not remove that.
    more = other[0].float().masked_fill(share == 0, 0.0)
    return torch.lerp(one[0].float(), more, share).to(one[0].dtype), top + torch.log2(total)
