"""Which training rows a mixture may draw at all: where a cap leaves few of many, nobody needs to read the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flantune.mixture.permutation import Int64, permute_array
from flantune.tasks.every_reply import EveryReply

if TYPE_CHECKING:
    from flantune.mixture.portions import Portion


def rows_within_caps(portions: Sequence[Portion]) -> dict[str, Int64]:
    """Task → numbers of the training rows that the mixture may draw or show, ascending.

    Tasks of which it may draw every row are left out. Of conversations asked for each of their replies, a row is a
    conversation.
    """
    # A task's cap leaves the first rows of one shuffle, so what the widest cap leaves is all that any part may draw.
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
