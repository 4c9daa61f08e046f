"""One copy of the keys and values with which several rows start (exemplars, a prompt with several samples).

In each step, the rows that share a start attend to it in one product. Attention to a row's own keys is computed
separately, and both are combined with the log-sum-exp of their scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import torch

from flantune.errors import ModelError
from flantune.models.attention.door import find_program
from flantune.models.attention.interface import install
from flantune.models.attention.joined import joined
from flantune.models.attention.masks import sliding_window
from flantune.models.attention.rules import AttentionRule

if TYPE_CHECKING:
    from torch import Tensor

    from flantune.models.attention.door import Read
    from flantune.models.language_model import LanguageModel

Layers = list[tuple["Tensor", "Tensor"]]
"""Keys and values of each layer."""
NOTHING = 0
"""The number that means no shared start."""


def can_share(lm: LanguageModel) -> bool:
    """Whether the program in C++ may support a model's attention; a trial decides (``check``)."""
    return lm.device.type == "cpu" and not sliding_window(lm) and lm.compute_dtype in find_program().dtypes


def shared_keys(lm: LanguageModel) -> SharedKeys:
    """An empty ``SharedKeys`` for a model.

    Raises:
        ModelError: The model's attention cannot be exchanged, or there is no program for it.
    """
    program = find_program()
    if program.read is None or not can_share(lm) or not install(lm.model):
        raise ModelError("only attention in C++ reads shared starts from one copy", where="model")
    return SharedKeys(program.read, width_step=program.width_step)


@dataclass(frozen=True, slots=True, eq=False)
class _Start:
    """A shared start: its number of tokens, and the keys and values of each layer, [tokens, heads, width]."""

    length: int
    layers: Layers


class SharedKeys:
    """The starts that rows of a decoder share, by number.

    Args:
        read: The program's function.
        width_step: The width of a head must be a multiple of this.
    """

    def __init__(self, read: Read, *, width_step: int) -> None:
        self._read, self._width_step, self._last = read, width_step, NOTHING
        self._starts: dict[int, _Start] = {}
        # All starts joined end to end; empty when they have to be joined again.
        self._lines: Layers = []

    def add(self, layers: Layers) -> int:
        """Adds the keys and values of one text, [heads, tokens, width] per layer; returns the number of the start.

        Raises:
            ModelError: The program does not support the width of the heads.
        """
        widths = {line.shape[-1] for layer in layers for line in layer}
        if len(widths) != 1 or widths.pop() % self._width_step:
            raise ModelError(f"the width of its heads is not a multiple of {self._width_step}", where="model")
        self._last += 1
        # Rotary positions may give keys another dtype than values.
        flat = [
            (keys.transpose(0, 1).to(values.dtype).contiguous(), values.transpose(0, 1).contiguous())
            for keys, values in layers
        ]
        self._starts[self._last] = _Start(len(flat[0][0]), flat)
        self._lines = []
        return self._last

    def keep(self, numbers: set[int]) -> None:
        """Frees all other starts."""
        if self._starts.keys() - numbers:
            self._starts = {number: start for number, start in self._starts.items() if number in numbers}
            self._lines = []

    def length(self, number: int) -> int:
        """Number of tokens of a start."""
        return self._starts[number].length if number != NOTHING else 0

    def step(self, numbers: Sequence[int], hidden: Tensor | None) -> StepAttention:
        """The attention of one step.

        Args:
            numbers: The start of each row.
            hidden: The columns of its own to which a row must not attend, [rows, columns]; None: none.
        """
        starts = list(self._starts.values())
        if starts and not self._lines:
            self._lines = [
                (torch.cat([keys for keys, _ in layer]), torch.cat([values for _, values in layer]))
                for layer in zip(*(start.layers for start in starts), strict=True)
            ]
        places = {number: place for place, number in enumerate(self._starts)}
        at = np.array([places.get(number, len(starts)) for number in numbers])
        counts = np.bincount(at, minlength=len(starts) + 1)[: len(starts)]
        return StepAttention(
            read=self._read,
            lines=self._lines if counts.any() else [],
            order=np.argsort(at, kind="stable"),
            query_ends=[0, *np.cumsum(counts).tolist()],
            key_ends=[0, *accumulate(start.length for start in starts)],
            hidden=hidden,
        )


class StepAttention:
    """Attention of one new token per row, to its shared start and its own keys; called in each layer.

    Args:
        read: The program's function.
        lines: For each layer, the keys and values of all starts, joined end to end; empty if no row has a start.
        order: The rows sorted by their starts; those without come last.
        query_ends: Where the rows of each start begin in that order, and the end of the last, [starts + 1].
        key_ends: Likewise for the tokens of the starts.
        hidden: The columns of its own to which a row must not attend, [rows, columns]; None: none.
    """

    def __init__(
        self,
        *,
        read: Read,
        lines: Layers,
        order: np.ndarray,
        query_ends: Sequence[int],
        key_ends: Sequence[int],
        hidden: Tensor | None,
    ) -> None:
        self._read, self._lines = read, lines
        self._hidden = None if hidden is None else hidden[:, None, None]
        self._order, self._back = torch.from_numpy(order), torch.from_numpy(np.argsort(order))
        self._query_ends, self._key_ends = (torch.tensor(ends, dtype=torch.int32) for ends in (query_ends, key_ends))
        self._alone = torch.arange(len(order)) >= query_ends[-1]
        self.layer = 0
        """The current layer, set by the cache of that layer."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *, scale: float | None, window: int) -> Tensor:
        """See ``attention.interface.attention``.

        Args:
            query: [rows, heads, 1, width].
            key: [rows, heads or a divisor of them, columns, width].
            value: Like ``key``.
            scale: Factor of the scores; None: 1 / √width.
            window: Must be 0: no sliding window.

        Returns:
            [rows, 1, heads, width].

        Raises:
            ModelError: The layer has a sliding window.
        """
        if window:
            raise ModelError("shared starts are read from one copy only if no layer has a window", where="model")
        factor = query.shape[-1] ** -0.5 if scale is None else scale
        with torch.autocast("cpu", enabled=False):
            found = self._own(query, key, value, factor)
            if self._lines:
                found = joined(found, self._shared(query[:, :, 0], factor))
        return found[0].to(value.dtype)[:, None]

    def _own(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        rows, heads, _, width = query.shape
        # Query heads that share a key head are one matrix, so that keys need not be repeated.
        asked = query.reshape(rows, key.shape[1], -1, width).to(key.dtype)
        scores = torch.matmul(asked, key.transpose(2, 3)).float().mul_(scale)
        if self._hidden is not None:
            scores.masked_fill_(self._hidden, float("-inf"))
        logs = torch.logsumexp(scores, dim=-1, keepdim=True)
        mixed = torch.matmul(torch.exp(scores - logs).to(value.dtype), value)
        return mixed.view(rows, heads, width), logs.view(rows, heads).T / np.log(2.0)

    def _shared(self, query: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        keys, values = self._lines[self.layer]
        asked = query.index_select(0, self._order).to(values.dtype)
        rule = AttentionRule(scale=scale, is_causal=False)
        mixed, logs = self._read(asked, keys, values, self._query_ends, self._key_ends, None, rule, None)
        logs.masked_fill_(self._alone, float("-inf"))
        return mixed.index_select(0, self._back), logs.index_select(1, self._back)
