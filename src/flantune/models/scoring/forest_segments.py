"""Attention of a line of requests by the program for segments.

A token attends to up to three sets of keys: its own request, what its context shares with earlier requests of the line,
and the prefix of all contexts. Attention is computed for each set, and combined with the log-sum-exp of their scores.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from flantune.models.attention.door import MASK_STEP
from flantune.models.attention.joined import joined
from flantune.models.attention.rules import AttentionRule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from flantune.models.attention.door import Mask, Read
    from flantune.models.scoring.forest_layout import Forest

HIDDEN = -1e30
"""Added to a score, it makes the weight exactly 0."""


class ForestSegments:
    """Attention of a line's requests; called in each layer.

    Args:
        laid: The line.
        read: The program's function.
    """

    def __init__(self, laid: Forest, read: Read) -> None:
        self._laid, self._program = laid, read
        self._ends = _numbers([0, *(request.end for request in laid.requests)])
        is_mutual = any(request.is_mutual for request in laid.requests)
        self._mutual = _numbers([request.context for request in laid.requests]) if is_mutual else None

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *, scale: float) -> Tensor:
        """See ``ForestAttention``; without a window.

        Args:
            query: [tokens, heads, width].
            key: [known + tokens, heads or a divisor of them, width].
            value: Like ``key``.
            scale: Factor of the scores.

        Returns:
            [tokens, heads, width]; zeros for padding.
        """
        known, both_ways = self._laid.known, AttentionRule(scale=scale, is_causal=False)
        own = key[known:], value[known:]
        causal = AttentionRule(scale=scale, is_causal=True)
        found = self._program(query, *own, self._ends, self._ends, self._mutual, causal, self._mask)
        if self._seen is not None:
            places, ends, without = self._seen
            keys, values = (line.index_select(0, places) for line in own)
            mixed, logs = self._program(query, keys, values, self._ends, ends, None, both_ways, None)
            found = joined(found, (mixed, logs.masked_fill_(without, float("-inf"))))
        if known:
            one, its = _numbers([0, len(query)]), _numbers([0, known])
            found = joined(found, self._program(query, key[:known], value[:known], one, its, None, both_ways, None))
        mixed = found[0]
        mixed[self._laid.requests[-1].end :] = 0
        return mixed

    @cached_property
    def _mask(self) -> Mask | None:
        """Hides other branches from the tokens of an option, which the causal rule alone would let them attend to."""
        rows: list[NDArray[np.float32]] = []
        places: list[tuple[int, int]] = []
        at = 0
        for one in self._laid.requests:
            is_branching = not one.trie.is_chain
            places.append((at, one.context if is_branching else one.end - one.start))
            if is_branching:
                hidden = ~one.sees[one.context :]
                padded = np.pad(hidden, ((0, 0), (0, -hidden.shape[1] % MASK_STEP)))
                rows.append(np.where(padded, HIDDEN, 0.0).astype(np.float32).ravel())
                at += padded.size
        return (torch.from_numpy(np.concatenate(rows)), torch.tensor(places)) if rows else None

    @cached_property
    def _seen(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """Shared places of all requests, the ends of each request's part of them, and the tokens that have none."""
        requests = self._laid.requests
        if not any(request.seen for request in requests):
            return None
        shared = [[place for start, end in one.seen for place in range(start, end)] for one in requests]
        without = np.ones(len(self._laid.tokens), dtype=np.bool_)
        for one in requests:
            without[one.start : one.end] = not one.seen
        places = torch.tensor([place for own in shared for place in own], dtype=torch.long)
        return places, _numbers(np.cumsum([0, *map(len, shared)]).tolist()), torch.from_numpy(without)


def _numbers(numbers: Sequence[int]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.int32)
