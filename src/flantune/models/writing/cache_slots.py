"""Decoder-only writing in slots: rows of different length side by side, each leaving when it is done, others coming in.

A slot is a row of a preallocated key-value cache. A row's keys lie at columns 0 to its length, whatever its
neighbors' lengths: there is no padding to the left, and nothing is copied as the text grows. Masks hide the columns
beyond a row's own length; explicit position ids say where its next token is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicLayer

from flantune.models.attention.masks import by_layer, context_mask, sliding_window
from flantune.models.heads import logits_of, outputs_of

if TYPE_CHECKING:
    from torch import Tensor

    from flantune.models.heads import Head
    from flantune.models.language_model import LanguageModel
    from flantune.types import Int32


@dataclass(slots=True, eq=False)
class _Columns:
    """Where each live row's next key goes: the same for all layers."""

    lengths: Tensor
    width: int
    even: bool


class SlotLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One layer's keys and values, [slots, heads, columns, width]; the first ``len(lengths)`` slots are live."""

    is_sliding = False

    def __init__(self, keys: Tensor, values: Tensor, columns: _Columns) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.keys: Tensor = keys
        self.values: Tensor = values
        self.columns = columns
        self.is_initialized = True

    def lazy_initialization(self, *_: object, **__: object) -> None:
        """Nothing to do: it is made with its memory."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Puts the next key and value of each live row after its last, and gives all that is used so far."""
        columns = self.columns
        live = len(columns.lengths)
        for whole, new in ((self.keys, key_states), (self.values, value_states)):
            if columns.even:
                whole[:live, :, columns.width - 1] = new[:, :, 0]
            else:
                rows = torch.arange(live, device=whole.device)
                # Under autocast a model may make values of another type at a step than it made while reading.
                whole[rows, :, columns.lengths] = new[:, :, 0].to(whole.dtype)
        return self.keys[:live, :, : columns.width], self.values[:live, :, : columns.width]

    def get_seq_length(self, *_: object) -> int:
        """Columns in use before the next token."""
        return self.columns.width - 1

    def get_mask_sizes(self, *_: object) -> tuple[int, int]:
        """Columns in use with the next token, and where they begin."""
        return self.columns.width, 0

    def get_max_length(self) -> int:
        """No limit, as far as the model is concerned."""
        return -1

    get_max_cache_shape = get_max_length


class SlotDecoder:
    """A model with slots to write in.

    Args:
        lm: A decoder-only model.
        head: Its head, or None to use its own logits.
        slots: Rows at most.
        columns: Positions of a row at most.
    """

    def __init__(self, lm: LanguageModel, head: Head | None, *, slots: int, columns: int) -> None:
        self.lm, self.head, self.slots, self.columns = lm, head, slots, columns
        self._layers: list[tuple[Tensor, Tensor]] = []
        self._lengths: list[int] = []

    @property
    def live(self) -> int:
        """Rows that are written in."""
        return len(self._lengths)

    def resize(self, *, slots: int, columns: int) -> None:
        """Other slots, the live rows kept."""
        used = max(self._lengths, default=0)
        for at, pair in enumerate(self._layers):
            self._layers[at] = _both(pair, lambda whole: self._grown(whole, used, slots, columns))
        self.slots, self.columns = slots, columns

    def _grown(self, whole: Tensor, used: int, slots: int, columns: int) -> Tensor:
        new = whole.new_zeros(slots, whole.shape[1], columns, whole.shape[3])
        new[: self.live, :, :used] = whole[: self.live, :, :used]
        return new

    def read_prefix(self, tokens: Int32) -> Cache:
        """What prompts have in common, read once."""
        cache = Cache(layer_class_to_replicate=DynamicLayer)
        ids = torch.as_tensor(tokens, dtype=torch.long, device=self.lm.device)[None]
        model: Any = self.lm.model
        model.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
        return cache

    def read(self, prompts: Sequence[Int32], prefix: Cache | None) -> tuple[Tensor, Cache]:
        """Reads prompts that share a prefix, padded to the right, where nobody looks.

        Returns:
            The logits of each prompt's next token, [prompts, vocabulary], and the keys and values read.
        """
        shared = prefix.get_seq_length() if prefix is not None else 0
        rests = [ids[shared:] for ids in prompts]
        tokens = np.zeros((len(rests), max(map(len, rests))), dtype=np.int64)
        for row, rest in enumerate(rests):
            tokens[row, : len(rest)] = rest
        cache = _expanded(prefix, len(prompts)) if prefix is not None else Cache(layer_class_to_replicate=DynamicLayer)
        ids = torch.from_numpy(tokens).to(self.lm.device)
        last = torch.tensor([len(rest) - 1 for rest in rests], device=self.lm.device)
        given: dict[str, Any] = {"input_ids": ids, "past_key_values": cache}
        if self.lm.reads_both_ways:
            given |= self._both_ways(last)
        return next_logits(self.lm, self.head, given, last), cache

    def _both_ways(self, last: Tensor) -> dict[str, Any]:
        """The mask with which the tokens of each row see each other, up to its last."""
        places = torch.arange(int(last.max()) + 1, device=self.lm.device)[None]
        segments = (places <= last[:, None]).long()
        return {
            "position_ids": places.expand(len(last), -1),
            "attention_mask": by_layer(self.lm, context_mask(segments, segments), places, places),
        }

    def enter(self, cache: Cache, sources: Sequence[int], lengths: Sequence[int]) -> None:
        """Gives read prompts a slot each, after the live rows.

        Args:
            cache: What ``read`` gave.
            sources: Which of its rows goes to each slot; a row may go to several.
            lengths: Tokens of each.
        """
        layers: list[Any] = cache.layers
        if not self._layers:
            self._layers = [_both((layer.keys, layer.values), self._empty) for layer in layers]
        start, stop, width = self.live, self.live + len(sources), max(lengths)
        rows = torch.tensor(sources, device=self.lm.device)
        for (keys, values), layer in zip(self._layers, layers, strict=True):
            keys[start:stop, :, :width] = layer.keys[rows, :, :width]
            values[start:stop, :, :width] = layer.values[rows, :, :width]
        self._lengths += lengths

    def _empty(self, like: Tensor) -> Tensor:
        # Zeros: what lies beyond a row's length counts with weight 0, and 0 times garbage may be not a number.
        return like.new_zeros(self.slots, like.shape[1], self.columns, like.shape[3])

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Reads the token each live row wrote last; logits of its next, [live rows, vocabulary]."""
        device = self.lm.device
        lengths = torch.tensor(self._lengths, device=device)
        width = max(self._lengths) + 1
        is_even = min(self._lengths) == width - 1
        columns = _Columns(lengths=lengths, width=width, even=is_even)
        inputs: dict[str, Any] = {
            "input_ids": torch.tensor(tokens, device=device)[:, None],
            "past_key_values": Cache(layers=[SlotLayer(*pair, columns) for pair in self._layers]),
            "position_ids": lengths[:, None],
        }
        window = sliding_window(self.lm)
        if not is_even or (window and window < width):
            columns_seen = torch.arange(width, device=device)[None]
            seen = (columns_seen <= lengths[:, None])[:, None, None]
            inputs["attention_mask"] = by_layer(self.lm, seen, lengths[:, None], columns_seen)
        logits = next_logits(self.lm, self.head, inputs, torch.zeros_like(lengths))
        self._lengths = [length + 1 for length in self._lengths]
        return logits

    def leave(self, row: int) -> int:
        """Frees a row's slot: the last live row moves there.

        Returns:
            Which row moved; the same as ``row`` when it was the last.
        """
        last = self.live - 1
        if row != last:
            length = self._lengths[last]
            for keys, values in self._layers:
                keys[row, :, :length] = keys[last, :, :length]
                values[row, :, :length] = values[last, :, :length]
            self._lengths[row] = length
        self._lengths.pop()
        return last


def next_logits(lm: LanguageModel, head: Head | None, inputs: dict[str, Any], last: Tensor) -> Tensor:
    """Logits at one position of each row, float32, [rows, vocabulary]; the head is applied there only."""
    outputs = outputs_of(lm, head, {**inputs, "use_cache": True})
    return logits_of(lm, head, outputs[torch.arange(len(last), device=lm.device), last]).float()


def _expanded(prefix: Cache, rows: int) -> Cache:
    """The prefix in front of each row, without copies of it."""
    new: Any = DynamicLayer
    layers: list[Any] = []
    for known in prefix.layers:
        source: Any = known
        keys, values = source.keys, source.values
        layer = new()
        layer.lazy_initialization(keys, values)
        layer.keys, layer.values = (states.expand(rows, -1, -1, -1) for states in (keys, values))
        layers.append(layer)
    return Cache(layers=layers)


def _both(pair: tuple[Tensor, Tensor], change: Any) -> tuple[Tensor, Tensor]:
    return change(pair[0]), change(pair[1])
