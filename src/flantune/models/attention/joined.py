"""Attention to two sets of keys, joined from attention to each."""

from __future__ import annotations

import torch
from torch import Tensor

Found = tuple[Tensor, Tensor]
"""Attention, [tokens, heads, width], and the log-sum-exp of the scores to the base of 2, [heads, tokens]."""


def joined(one: Found, other: Found) -> Found:
    """What is seen of two sets of keys together, from what is seen of each.

    >>> one = torch.tensor([[[2.0]]]), torch.tensor([[0.0]])
    >>> mixed, logs = joined(one, (torch.tensor([[[6.0]]]), torch.tensor([[0.0]])))
    >>> mixed.item(), logs.item()
    (4.0, 1.0)

    Args:
        one: Finite where the other is not.
        other: Minus infinity where it sees nothing.
    """
    top = torch.maximum(one[1], other[1])
    weights = [torch.exp2(logs - top) for logs in (one[1], other[1])]
    total = weights[0] + weights[1]
    share = (weights[1] / total).T[..., None]
    # Whatever stands where nothing is seen does not count, not even what is not a number.
    more = other[0].float().masked_fill(share == 0, 0.0)
    return torch.lerp(one[0].float(), more, share).to(one[0].dtype), top + torch.log2(total)
