"""Attention of a line of requests by the program for segments: all contexts in one call; branching options separately.

A token attends to up to three sets of keys: its own request, what its context shares with earlier requests of the line,
and the prefix of all contexts. Attention is computed for each set, and combined with the log-sum-exp of their scores.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from flantune.models.attention.joined import joined
from flantune.models.attention.rules import AttentionRule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from flantune.models.attention.door import Read
    from flantune.models.attention.joined import Found
    from flantune.models.scoring.forest_layout import Forest


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
        found = self._program(
            query, *own, self._ends, self._ends, self._mutual, AttentionRule(scale=scale, is_causal=True)
        )
        self._correct_branches(found, query, *own, scale=scale)
        if self._seen is not None:
            places, ends, without = self._seen
            mixed, logs = self._program(
                query, own[0].index_select(0, places), own[1].index_select(0, places), self._ends, ends, None, both_ways
            )
            found = joined(found, (mixed, logs.masked_fill_(without, float("-inf"))))
        if known:
            one, its = _numbers([0, len(query)]), _numbers([0, known])
            found = joined(found, self._program(query, key[:known], value[:known], one, its, None, both_ways))
        mixed = found[0]
        mixed[self._laid.requests[-1].end :] = 0
        return mixed

    def _correct_branches(self, found: Found, query: Tensor, key: Tensor, value: Tensor, *, scale: float) -> None:
        """Corrects attention and log-sum-exp of branching options in place: a branch must not attend to another."""
        mixed, logs = found
        for nodes, own, sees in self._branching:
            q, k, v = (line.transpose(0, 1).float() for line in (query[nodes], key[own], value[own]))
            groups = len(q) // len(k)
            if groups > 1:
                k, v = (line.repeat_interleave(groups, dim=0) for line in (k, v))
            with torch.autocast("cpu", enabled=False):
                scores = torch.bmm(q * scale, k.transpose(1, 2)).masked_fill_(~sees, float("-inf"))
                total = torch.logsumexp(scores, dim=-1, keepdim=True)
                mixed[nodes] = torch.bmm(torch.exp(scores - total), v).transpose(0, 1).to(mixed.dtype)
            logs[:, nodes] = total[..., 0] / np.log(2.0)

    @cached_property
    def _branching(self) -> list[tuple[slice, slice, Tensor]]:
        """For each request that branches: its option tokens, all its tokens, and which of these the first attend to."""
        return [
            (
                slice(one.start + one.context, one.end),
                slice(one.start, one.end),
                torch.from_numpy(one.sees[one.context :]),
            )
            for one in self._laid.requests
            if not one.trie.is_chain
        ]

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
