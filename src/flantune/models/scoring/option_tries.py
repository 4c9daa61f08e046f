"""Options of a context as a tree of tokens, in which a start shared by several options is read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from flantune.types import Int32


@dataclass(frozen=True, kw_only=True)
class OptionTrie:
    """The tokens that a decoder reads to score all options of a context; node 0 is the start token, shared by all.

    Attributes:
        tokens: The token of each node, [nodes]; 0 at node 0.
        parents: The node before each, [nodes]; −1 at node 0.
        depths: Position of each node in its option, [nodes].
        asked: The node at which each token of the options is predicted, option after option, [tokens of all options].
    """

    tokens: Int32
    parents: Int32
    depths: Int32
    asked: Int32

    @property
    def is_chain(self) -> bool:
        """Whether no node has more than one successor."""
        return bool((self.parents == np.arange(-1, len(self.parents) - 1)).all())

    @cached_property
    def sees(self) -> NDArray[np.bool_]:
        """Which nodes (second) each node (first) attends to: itself and its predecessors, [nodes, nodes]."""
        sees = np.eye(len(self.tokens), dtype=np.bool_)
        for node, parent in enumerate(self.parents.tolist()):
            if parent >= 0:
                sees[node] |= sees[parent]
        return sees


def option_trie(targets: Sequence[Int32]) -> OptionTrie:
    """Builds the tree of the options' tokens; the last token of an option is predicted but never read.

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
