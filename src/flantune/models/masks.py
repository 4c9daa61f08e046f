"""Who sees whom: the attention masks of packed rows, as the arrays say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from flantune.types import DecoderPack, EncoderDecoderPack


def decoder_mask(segments: Tensor, branches: Tensor) -> Tensor:
    """Which earlier tokens of its row each token of a decoder-only pack sees.

    >>> segments = torch.tensor([[1, 1, 1, 2, 0]])
    >>> branches = torch.tensor([[0, 1, 2, 0, 0]])
    >>> decoder_mask(segments, branches)[0, 0].int()
    tensor([[1, 0, 0, 0, 0],
            [1, 1, 0, 0, 0],
            [1, 0, 1, 0, 0],
            [0, 0, 0, 1, 0],
            [1, 0, 0, 0, 0]], dtype=torch.int32)

    The last token is padding: nobody sees it, and it sees an arbitrary token, since an empty row of attention is not
    a number.

    Args:
        segments: [rows, length]; 0 is padding.
        branches: [rows, length]; 0 is the trunk.

    Returns:
        Booleans, [rows, 1, length, length]; true where query (third) sees key (fourth).
    """
    query, key = segments[:, :, None], segments[:, None, :]
    branch = branches[:, None, :]
    length = segments.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    sees = (query == key) & (key > 0) & earlier & ((branch == 0) | (branch == branches[:, :, None]))
    return _never_empty(sees)[:, None]


def context_mask(queries: Tensor, keys: Tensor) -> Tensor:
    """Each query sees the keys of its own segment: the encoder's mask, and the decoder's on the encoder.

    Args:
        queries: Segment of each query, [rows, queries].
        keys: Segment of each key, [rows, keys]; 0 is padding.

    Returns:
        Booleans, [rows, 1, queries, keys].
    """
    return _never_empty((queries[:, :, None] == keys[:, None, :]) & (keys[:, None, :] > 0))[:, None]


def windowed(mask: Tensor, positions: Tensor, window: int) -> Tensor:
    """A decoder-only mask in which nobody sees further back than a sliding window's width.

    Args:
        mask: [rows, 1, length, length].
        positions: Position of each token within its prompt, [rows, length].
        window: Tokens in the window, the token itself included.
    """
    distance = positions[:, :, None] - positions[:, None, :]
    return _never_empty(mask[:, 0] & (distance < window))[:, None]


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """The mask as numbers to add to attention scores: 0, or the least number of the dtype."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)


def is_plain_decoder(pack: DecoderPack) -> bool:
    """Whether each row holds one prompt with one continuation, so that ordinary padding masks describe it."""
    return bool((pack.segments <= 1).all()) and not pack.branches.any()


def is_plain_encoder_decoder(pack: EncoderDecoderPack) -> bool:
    """Whether each row holds one prompt with one continuation."""
    return bool((pack.encoder_segments <= 1).all() and (pack.decoder_segments <= 1).all())


def _never_empty(mask: Tensor) -> Tensor:
    """Lets queries that see nothing (padding) see the first key."""
    first = torch.zeros(mask.shape[-1], dtype=torch.bool, device=mask.device)
    first[0] = True
    return mask | (~mask.any(dim=-1, keepdim=True) & first)
