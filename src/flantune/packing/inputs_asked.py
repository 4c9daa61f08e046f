"""Packs with input tokens as additional targets, for loss on whole prompts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from flantune.packing.arrays import input_places
from flantune.packing.packs import TargetTokens

if TYPE_CHECKING:
    from flantune.packing.packs import DecoderPack


def with_inputs_asked(pack: DecoderPack) -> DecoderPack:
    """The pack with an additional target for each input token, except the first of a prompt, which nothing precedes.

    The original targets come first, in their order; an input token belongs to the item of its prompt.

    >>> from flantune.packing.arrays import pack_decoder_only
    >>> from flantune.packing.packs import EncodedPrompt
    >>> one = EncodedPrompt(inputs=np.array([5, 6, 7]), targets=(np.array([8, 1]),))
    >>> asked = with_inputs_asked(pack_decoder_only([one, one], [[0, 1]])).targets
    >>> asked.token.tolist(), asked.position.tolist(), asked.item.tolist()
    ([8, 1, 8, 1, 6, 7, 6, 7], [2, 3, 7, 8, 0, 1, 5, 6], [0, 0, 1, 1, 0, 0, 1, 1])

    Args:
        pack: Rows for a decoder-only model, with at most one continuation per prompt; prompts without one get no
            additional targets.
    """
    before, segments = pack.targets, pack.segments
    items = np.full((len(segments), int(segments.max(initial=0)) + 1), -1, dtype=np.int32)
    items[before.row, segments[before.row, before.position]] = before.item
    is_input = input_places(pack)
    is_next = is_input[:, :-1] & is_input[:, 1:] & (segments[:, :-1] == segments[:, 1:])
    row, position = np.nonzero(is_next & (items[np.arange(len(items))[:, None], segments[:, :-1]] >= 0))
    more = TargetTokens(
        row=row.astype(np.int32),
        position=position.astype(np.int32),
        token=pack.tokens[row, position + 1],
        item=items[row, segments[row, position]],
    )
    names = ("row", "position", "token", "item")
    both = {name: np.concatenate([getattr(before, name), getattr(more, name)]) for name in names}
    return replace(pack, targets=TargetTokens(**both))
