"""Which training rows a mixture can draw: if a cap leaves few of many, the others need not be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flantune.mixture.permutation import Int64, permute_array
from flantune.tasks.every_reply import EveryReply

if TYPE_CHECKING:
    from flantune.mixture.portions import Portion


def rows_within_caps(portions: Sequence[Portion]) -> dict[str, Int64]:
    """Task → numbers of the training rows that the mixture can draw or show, ascending.

    Tasks whose rows can all be drawn are left out. For conversations with every reply as a target, a row is a
    conversation.
    """
    # A task's cap leaves the first rows of one shuffle, so the widest cap leaves all rows that any part can draw.
    widest: dict[str, Portion] = {}
    for portion in portions:
        name = portion.task.name
        if name not in widest or portion.capped > widest[name].capped:
            widest[name] = portion
    return {name: _rows(portion) for name, portion in widest.items() if portion.capped < len(portion.store)}


def _rows(portion: Portion) -> Int64:
    drawn = np.sort(permute_array(np.arange(portion.capped), len(portion.store), portion.sample_key))
    if not isinstance(portion.store, EveryReply):
        return drawn
    places = map(portion.store.place, drawn.tolist())
    return np.unique(np.fromiter((row for row, _ in places), dtype=np.int64, count=len(drawn)))
