"""Keys and values that several rows begin with (exemplars, a prompt of several samples), one copy of each.

A step reads them for all these rows in one product; what a row has of its own is read apart, and by the log-sum-exp of
each the two become one.
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
"""The number of a start without tokens."""


def can_share(lm: LanguageModel) -> bool:
    """Whether there is a program for a model's attention; whether its numbers are right is tried (``check``)."""
    return lm.device.type == "cpu" and not sliding_window(lm) and lm.compute_dtype in find_program().dtypes


def shared_keys(lm: LanguageModel) -> SharedKeys:
    """For the starts that rows of a model share.

    Raises:
        ModelError: Its attention cannot be exchanged, or there is no program for it.
    """
    program = find_program()
    if program.read is None or not can_share(lm) or not install(lm.model):
        raise ModelError("what rows start with is read from one copy by attention in C++ alone", where="model")
    return SharedKeys(program.read, width_step=program.width_step)


@dataclass(frozen=True, slots=True, eq=False)
class _Start:
    """Keys and values of each layer, [tokens, heads, width]."""

    length: int
    layers: Layers


class SharedKeys:
    """The starts that rows of a decoder share, by number.

    Args:
        read: The program.
        width_step: Widths of a head must be a multiple of it.
    """

    def __init__(self, read: Read, *, width_step: int) -> None:
        self._read, self._width_step, self._last = read, width_step, NOTHING
        self._starts: dict[int, _Start] = {}
        # All starts end to end, made again when one comes or goes.
        self._lines: Layers = []

    def add(self, layers: Layers) -> int:
        """Takes keys and values of one text, [heads, tokens, width] a layer; the number of the start.

        Raises:
            ModelError: The heads' width is none that the program takes.
        """
        widths = {line.shape[-1] for layer in layers for line in layer}
        if len(widths) != 1 or widths.pop() % self._width_step:
            raise ModelError(f"heads are not a multiple of {self._width_step} wide", where="model")
        self._last += 1
        # Rotary positions may make keys of another type than values.
        flat = [
            (keys.transpose(0, 1).to(values.dtype).contiguous(), values.transpose(0, 1).contiguous())
            for keys, values in layers
        ]
        self._starts[self._last] = _Start(len(flat[0][0]), flat)
        self._lines = []
        return self._last

    def keep(self, numbers: set[int]) -> None:
        """Forgets all other starts."""
        if self._starts.keys() - numbers:
            self._starts = {number: start for number, start in self._starts.items() if number in numbers}
            self._lines = []

    def length(self, number: int) -> int:
        """Tokens of a start."""
        return self._starts[number].length if number != NOTHING else 0

    def step(self, numbers: Sequence[int], hidden: Tensor | None) -> StepAttention:
        """Attention of one step.

        Args:
            numbers: The start of each row.
            hidden: Which columns a row does not see of what it has of its own, [rows, columns]; None: it sees all.
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
    """Attention of one new token a row, to its start and to what it has of its own; a layer after the other calls it.

    Args:
        read: The program.
        lines: All starts of each layer, end to end; none: no row has one.
        order: The rows in the order of their starts, those without last.
        query_ends: Where the rows of each start begin in that order, then their end.
        key_ends: Likewise for the starts' tokens.
        hidden: Which of its own columns a row does not see, [rows, columns]; None: it sees all.
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
        """The layer whose turn it is."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *, scale: float | None, window: int) -> Tensor:
        """See ``attention.interface.attention``.

        Args:
            query: [rows, heads, 1, width].
            key: [rows, heads or a divisor of them, columns, width].
            value: Like ``key``.
            scale: Multiplies the scores; None: the root of the width divides them.
            window: 0.

        Returns:
            [rows, 1, heads, width].
        """
        if window:
            raise ModelError("what rows start with is read from one copy where no layer has a window", where="model")
        factor = query.shape[-1] ** -0.5 if scale is None else scale
        with torch.autocast("cpu", enabled=False):
            found = self._own(query, key, value, factor)
            if self._lines:
                found = joined(found, self._shared(query[:, :, 0], factor))
        return found[0].to(value.dtype)[:, None]

    def _own(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        rows, heads, _, width = query.shape
        # The heads that share keys stand side by side, so that nothing is repeated.
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
        mixed, logs = self._read(asked, keys, values, self._query_ends, self._key_ends, None, rule)
        logs.masked_fill_(self._alone, float("-inf"))
        return mixed.index_select(0, self._back), logs.index_select(1, self._back)
