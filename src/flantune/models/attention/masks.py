"""Who sees whom: the attention masks of packed rows, as the arrays say it."""

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
    a number. With prefix attention the inputs of a segment see each other, whatever their order:

    >>> decoder_mask(segments, branches, torch.tensor([[True, False, False, True, False]]))[0, 0, 1].int()
    tensor([1, 1, 0, 0, 0], dtype=torch.int32)
    >>> decoder_mask(torch.ones(1, 3), torch.zeros(1, 3), torch.tensor([[True, True, False]]))[0, 0].int()
    tensor([[1, 1, 0],
            [1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)

    Args:
        segments: [rows, length]; 0 is padding.
        branches: [rows, length]; 0 is the trunk.
        mutual: Booleans, tokens of which those of one segment see each other, [rows, length]; None: nobody sees later
            tokens.

    Returns:
        Booleans, [rows, 1, length, length]; true where query (third) sees key (fourth).
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
    """Each query sees the keys of its own segment: the encoder's mask, and the decoder's on the encoder.

    Args:
        queries: Segment of each query, [rows, queries].
        keys: Segment of each key, [rows, keys]; 0 is padding.

    Returns:
        Booleans, [rows, 1, queries, keys].
    """
    return _never_empty((queries[:, :, None] == keys[:, None, :]) & (keys[:, None, :] > 0))[:, None]


def sliding_window(lm: LanguageModel) -> int:
    """How far back the model's sliding layers see, the token itself included; 0 when it has none."""
    config = lm.model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    return int(window) if window and getattr(config, "use_sliding_window", True) is not False else 0


def by_layer(lm: LanguageModel, mask: Tensor, queries: Tensor, keys: Tensor) -> Tensor | dict[str, Tensor]:
    """The mask as the model wants it: sliding layers get a narrower one where a prompt outgrows their window.

    Args:
        lm: The model.
        mask: Booleans, [rows, 1, queries, keys].
        queries: Position of each query within its prompt, [rows, queries].
        keys: Position of each key, [rows or 1, keys].
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
    """The mask of rows without padding whose first tokens see each other: prefix attention on one prompt a row.

    Args:
        lm: The model.
        inputs: How many tokens see each other.
        length: Tokens of a row.
        rows: How many rows.
    """
    places = torch.arange(length, device=lm.device)[None]
    nothing = torch.zeros_like(places)
    mask = decoder_mask(nothing + 1, nothing, places < inputs).expand(rows, -1, -1, -1)
    return by_layer(lm, mask, places, places)


def mutual_tokens(lm: LanguageModel, pack: DecoderPack) -> Tensor | None:
    """Booleans, the tokens of each segment that see each other, [rows, length]; None where attention is causal."""
    return on_device(torch.from_numpy(input_places(pack)), lm.device) if lm.reads_both_ways else None


def format_mask(lm: LanguageModel, mask: Tensor) -> Tensor:
    """Booleans for fused attention, numbers to add for eager attention."""
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
    """Lets queries that see nothing (padding) see the first key."""
    first = torch.zeros(mask.shape[-1], dtype=torch.bool, device=mask.device)
    first[0] = True
    return mask | (~mask.any(dim=-1, keepdim=True) & first)
