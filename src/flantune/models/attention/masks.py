"""Attention masks of packed rows, made from the arrays of the pack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from flantune.models.attention.interface import NAME
from flantune.models.transfer import on_device
from flantune.packing.arrays import input_places

if TYPE_CHECKING:
    from torch import Tensor

    from flantune.models.language_model import LanguageModel
    from flantune.packing.packs import DecoderPack, EncoderDecoderPack


def decoder_mask(segments: Tensor, branches: Tensor, mutual: Tensor | None = None) -> Tensor:
    """The mask of a decoder-only pack: its own segment, earlier tokens, and of these the trunk and its own branch.

    >>> segments = torch.tensor([[1, 1, 1, 2, 0]])
    >>> branches = torch.tensor([[0, 1, 2, 0, 0]])
    >>> decoder_mask(segments, branches)[0, 0].int()
    tensor([[1, 0, 0, 0, 0],
            [1, 1, 0, 0, 0],
            [1, 0, 1, 0, 0],
            [0, 0, 0, 1, 0],
            [1, 0, 0, 0, 0]], dtype=torch.int32)

    The last token is padding: no other token attends to it. It attends to an arbitrary token, because a softmax over
    nothing would be NaN. With prefix attention, the inputs of a segment attend to each other in both directions:

    >>> decoder_mask(segments, branches, torch.tensor([[True, False, False, True, False]]))[0, 0, 1].int()
    tensor([1, 1, 0, 0, 0], dtype=torch.int32)
    >>> decoder_mask(torch.ones(1, 3), torch.zeros(1, 3), torch.tensor([[True, True, False]]))[0, 0].int()
    tensor([[1, 1, 0],
            [1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)

    Args:
        segments: [rows, length]; 0 is padding.
        branches: [rows, length]; 0 is the trunk.
        mutual: Booleans, the tokens that attend to each other within their segment, [rows, length]; None: attention is
            causal.

    Returns:
        Booleans, [rows, 1, query, key]; true where the query attends to the key.
    """
    query, key = segments[:, :, None], segments[:, None, :]
    branch = branches[:, None, :]
    length = segments.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    if mutual is not None:
        earlier = earlier | (mutual[:, :, None] & mutual[:, None, :])
    sees = (query == key) & (key > 0) & earlier & ((branch == 0) | (branch == branches[:, :, None]))
    return _never_empty(sees)[:, None]


def context_mask(queries: Tensor, keys: Tensor) -> Tensor:
    """Each query attends to all keys of its segment: the mask of the encoder and of cross-attention.

    Args:
        queries: Segment of each query, [rows, queries].
        keys: Segment of each key, [rows, keys]; 0 is padding.

    Returns:
        Booleans, [rows, 1, queries, keys].
    """
    return _never_empty((queries[:, :, None] == keys[:, None, :]) & (keys[:, None, :] > 0))[:, None]


def sliding_window(lm: LanguageModel) -> int:
    """The window of the model's sliding layers in tokens, the token itself included; 0 when it has none."""
    config = lm.model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    return int(window) if window and getattr(config, "use_sliding_window", True) is not False else 0


def by_layer(lm: LanguageModel, mask: Tensor, queries: Tensor, keys: Tensor) -> Tensor | dict[str, Tensor]:
    """The mask in the form the model takes; sliding layers get one of their own when a prompt exceeds their window.

    Args:
        lm: The model.
        mask: Booleans, [rows, 1, queries, keys].
        queries: Position of each query within its prompt, [rows, queries].
        keys: Position of each key, [rows or 1, keys].

    Returns:
        One mask for all layers, or one by kind of layer.
    """
    window = sliding_window(lm)
    if not window or int(queries.max()) < window:
        return format_mask(lm, mask)
    is_near = (queries[:, :, None] - keys[:, None, :]).abs() < window
    narrow = format_mask(lm, _never_empty(mask[:, 0] & is_near)[:, None])
    kinds = set(getattr(lm.model.config.get_text_config(), "layer_types", None) or ["sliding_attention"])
    if kinds == {"sliding_attention"}:
        return narrow
    return {"full_attention": format_mask(lm, mask), "sliding_attention": narrow}


def prefix_mask(lm: LanguageModel, *, inputs: int, length: int, rows: int = 1) -> Tensor | dict[str, Tensor]:
    """The mask of prefix attention on one prompt per row, without padding.

    Args:
        lm: The model.
        inputs: How many tokens at the start attend to each other.
        length: Tokens of a row.
        rows: How many rows.
    """
    places = torch.arange(length, device=lm.device)[None]
    nothing = torch.zeros_like(places)
    mask = decoder_mask(nothing + 1, nothing, places < inputs).expand(rows, -1, -1, -1)
    return by_layer(lm, mask, places, places)


def mutual_tokens(lm: LanguageModel, pack: DecoderPack) -> Tensor | None:
    """The tokens that attend to each other in their segment, booleans, [rows, length]; None if attention is causal."""
    return on_device(torch.from_numpy(input_places(pack)), lm.device) if lm.reads_both_ways else None


def format_mask(lm: LanguageModel, mask: Tensor) -> Tensor:
    """The mask for the model's attention: booleans if it is fused, numbers to add if it is eager."""
    is_fused = lm.model.config._attn_implementation in ("sdpa", NAME)
    return mask if is_fused else additive(mask, lm.compute_dtype)


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
    """Lets queries without any key (padding) attend to the first key."""
    first = torch.zeros(mask.shape[-1], dtype=torch.bool, device=mask.device)
    first[0] = True
    return mask | (~mask.any(dim=-1, keepdim=True) & first)
