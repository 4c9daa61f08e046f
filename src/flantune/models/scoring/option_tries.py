"""Options of a context as a tree of their tokens, so that a start that several share is read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from flantune.types import Int32


@dataclass(frozen=True, kw_only=True)
class OptionTrie:
    """What a decoder must be fed for all options of a context; node 0 is the start token, which all share.

    Attributes:
        tokens: Token fed at each node, [nodes]; 0 at the start.
        parents: The node before each, [nodes]; −1 before the start.
        depths: Position of each node in its option, [nodes].
        asked: Node at which each option's tokens are predicted, option after option, [tokens of all options].
    """

    tokens: Int32
    parents: Int32
    depths: Int32
    asked: Int32

    @property
    def is_chain(self) -> bool:
        """Whether no node has two after it."""
        return bool((self.parents == np.arange(-1, len(self.parents) - 1)).all())

    @cached_property
    def sees(self) -> NDArray[np.bool_]:
        """Whether a node (first) sees another: itself and those before it, [nodes, nodes]."""
        sees = np.eye(len(self.tokens), dtype=np.bool_)
        for node, parent in enumerate(self.parents.tolist()):
            if parent >= 0:
                sees[node] |= sees[parent]
        return sees


def option_trie(targets: Sequence[Int32]) -> OptionTrie:
    """The options' tokens as a tree; the last of each is asked for and never fed.

    >>> trie = option_trie([np.array([7, 8, 1]), np.array([7, 8, 2, 1]), np.array([9])])
    >>> trie.tokens.tolist(), trie.parents.tolist(), trie.depths.tolist()
    ([0, 7, 8, 2], [-1, 0, 1, 2], [0, 1, 2, 3])
    >>> trie.asked.tolist()
    [0, 1, 2, 0, 1, 2, 3, 0]
    """
    tokens, parents, depths, asked = [0], [-1], [0], []
    known: dict[tuple[int, int], int] = {}
    for target in targets:
        node = 0
        for place, token in enumerate(target.tolist()):
            asked.append(node)
            if place == len(target) - 1:
                break
            child = known.setdefault((node, token), len(tokens))
            if child == len(tokens):
                tokens.append(token)
                parents.append(node)
                depths.append(place + 1)
            node = child
    arrays = (np.array(values, dtype=np.int32) for values in (tokens, parents, depths, asked))
    return OptionTrie(**dict(zip(("tokens", "parents", "depths", "asked"), arrays, strict=True)))
