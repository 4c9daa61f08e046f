"""Decoder-only generation in slots: rows of different length side by side; a finished row leaves and another enters.

A slot is a row of a preallocated key-value cache. A row's keys are in columns 0 to its length, whatever the lengths of
other rows: there is no padding on the left, and nothing is copied as the text grows. Masks hide the columns beyond a
row's length; explicit position ids give the position of its next token. A start shared by several rows may be stored
once (``shared_keys``); the slots then hold only what follows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicLayer

from flantune.models.attention.masks import by_layer, context_mask, sliding_window
from flantune.models.forms.last_layer import only_at
from flantune.models.heads import logits_of, outputs_of
from flantune.models.writing.shared_keys import NOTHING

if TYPE_CHECKING:
    from torch import Tensor

    from flantune.models.heads import Head
    from flantune.models.language_model import LanguageModel
    from flantune.models.writing.shared_keys import Layers, SharedKeys, StepAttention
    from flantune.types import Int32


@dataclass(slots=True, eq=False)
class _Columns:
    """The columns of the live rows in one step, the same for all layers.

    Attributes:
        lengths: Column of each row's new key, [live rows].
        width: Columns in use, the new ones included.
        even: Whether all rows have the same length.
        attention: Replaces the model's attention if rows share starts; else None.
    """

    lengths: Tensor
    width: int
    even: bool
    attention: StepAttention | None = None


class SlotLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One layer's keys and values, [slots, heads, columns, width]; the first ``len(lengths)`` slots are live."""

    is_sliding = False

    def __init__(self, number: int, keys: Tensor, values: Tensor, columns: _Columns) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.number = number
        self.keys: Tensor = keys
        self.values: Tensor = values
        self.columns = columns
        self.is_initialized = True

    def lazy_initialization(self, *_: object, **__: object) -> None:
        """Does nothing, since the memory is given at construction."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Stores the new key and value of each live row; returns all columns in use."""
        columns = self.columns
        live = len(columns.lengths)
        if columns.attention is not None:
            columns.attention.layer = self.number
        for whole, new in ((self.keys, key_states), (self.values, value_states)):
            if columns.even:
                whole[:live, :, columns.width - 1] = new[:, :, 0]
            else:
                rows = torch.arange(live, device=whole.device)
                # Under autocast the dtype of a step may differ from that of the first pass.
                whole[rows, :, columns.lengths] = new[:, :, 0].to(whole.dtype)
        return self.keys[:live, :, : columns.width], self.values[:live, :, : columns.width]

    def get_seq_length(self, *_: object) -> int:
        """Columns in use before the next token."""
        return self.columns.width - 1

    def get_mask_sizes(self, *_: object) -> tuple[int, int]:
        """Columns in use including the next token, and the first of them."""
        return self.columns.width, 0

    def get_max_length(self) -> int:
        """-1: no limit; the size of the slots is planned outside."""
        return -1

    get_max_cache_shape = get_max_length


class SlotDecoder:
    """A model that generates in slots.

    Args:
        lm: A decoder-only model.
        head: Its head, or None to use its own logits.
        slots: Largest number of rows.
        columns: Largest number of positions of a row, without a shared start.
        shared: Holds the keys and values of shared starts; None: each row has a copy.
    """

    def __init__(
        self, lm: LanguageModel, head: Head | None, *, slots: int, columns: int, shared: SharedKeys | None = None
    ) -> None:
        self.lm, self.head, self.slots, self.columns, self._shared = lm, head, slots, columns, shared
        self._layers: Layers = []
        # For each live row: its columns in use, and the number of its shared start.
        self._lengths: list[int] = []
        self._starts: list[int] = []

    @property
    def live(self) -> int:
        """Number of rows in progress."""
        return len(self._lengths)

    def begun(self, row: int) -> int:
        """Number of tokens in a live row's shared start."""
        return self._shared.length(self._starts[row]) if self._shared is not None else 0

    def share(self, cache: Cache, row: int, length: int) -> int:
        """Stores the first tokens of a row that was read as a shared start; returns the number of the start.

        Args:
            cache: The result of ``read`` or ``read_prefix``.
            row: The row of the cache.
            length: Number of tokens.
        """
        if self._shared is None:
            return NOTHING
        layers: list[Any] = cache.layers
        return self._shared.add([(layer.keys[row, :, :length], layer.values[row, :, :length]) for layer in layers])

    def forget(self, *, but: int) -> None:
        """Frees the shared starts that no live row has, except number ``but``."""
        if self._shared is not None:
            self._shared.keep({*self._starts, but})

    def resize(self, *, slots: int, columns: int) -> None:
        """Changes the number and length of slots; live rows are kept."""
        used = max(self._lengths, default=0)
        for at, pair in enumerate(self._layers):
            self._layers[at] = _both(pair, lambda whole: self._grown(whole, used, slots, columns))
        self.slots, self.columns = slots, columns

    def _grown(self, whole: Tensor, used: int, slots: int, columns: int) -> Tensor:
        new = whole.new_zeros(slots, whole.shape[1], columns, whole.shape[3])
        new[: self.live, :, :used] = whole[: self.live, :, :used]
        return new

    def read_prefix(self, tokens: Int32) -> Cache:
        """Reads the common start of several prompts."""
        cache = Cache(layer_class_to_replicate=DynamicLayer)
        ids = torch.as_tensor(tokens, dtype=torch.long, device=self.lm.device)[None]
        model: Any = self.lm.model
        # Of the last layer, only keys and values are needed.
        with only_at(self.lm, np.zeros(1, dtype=np.int64), len(tokens)):
            model.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
        return cache

    def read(self, prompts: Sequence[Int32], prefix: Cache | None) -> tuple[Tensor, Cache]:
        """Reads prompts that share a prefix, padded on the right, where no token attends.

        Returns:
            The logits of each prompt's next token, [prompts, vocabulary], and the keys and values of the prompts.
        """
        shared = prefix.get_seq_length() if prefix is not None else 0
        rests = [ids[shared:] for ids in prompts]
        tokens = np.zeros((len(rests), max(map(len, rests))), dtype=np.int64)
        for row, rest in enumerate(rests):
            tokens[row, : len(rest)] = rest
        cache = _expanded(prefix, len(prompts)) if prefix is not None else Cache(layer_class_to_replicate=DynamicLayer)
        ids = torch.from_numpy(tokens).to(self.lm.device)
        ends = np.array([len(rest) - 1 for rest in rests])
        last = torch.from_numpy(ends).to(self.lm.device)
        given: dict[str, Any] = {"input_ids": ids, "past_key_values": cache}
        if self.lm.reads_both_ways:
            given |= self._both_ways(last)
        with only_at(self.lm, np.arange(len(rests)) * tokens.shape[1] + ends, tokens.size):
            return next_logits(self.lm, self.head, given, last), cache

    def _both_ways(self, last: Tensor) -> dict[str, Any]:
        """Inputs for prefix attention: in each row, all tokens up to the last attend to each other."""
        places = torch.arange(int(last.max()) + 1, device=self.lm.device)[None]
        segments = (places <= last[:, None]).long()
        return {
            "position_ids": places.expand(len(last), -1),
            "attention_mask": by_layer(self.lm, context_mask(segments, segments), places, places),
        }

    def enter(
        self, cache: Cache, sources: Sequence[int], lengths: Sequence[int], starts: Sequence[int] | None = None
    ) -> None:
        """Moves prompts that were read into slots, after the live rows.

        Args:
            cache: The result of ``read``.
            sources: The row of the cache for each new slot; a row may go to several.
            lengths: Number of tokens of each.
            starts: The number of each one's shared start; None: there is none.
        """
        layers: list[Any] = cache.layers
        if not self._layers:
            self._layers = [_both((layer.keys, layer.values), self._empty) for layer in layers]
        starts = [NOTHING] * len(sources) if starts is None else starts
        begun = [self._shared.length(start) if self._shared is not None else 0 for start in starts]
        owned = [length - known for length, known in zip(lengths, begun, strict=True)]
        for known in dict.fromkeys(begun):
            at = [place for place, each in enumerate(begun) if each == known]
            rows, places = (torch.tensor(some, device=self.lm.device) for some in ([sources[i] for i in at], at))
            width, places = max(owned[place] for place in at), places + self.live
            for (keys, values), layer in zip(self._layers, layers, strict=True):
                keys[places, :, :width] = layer.keys[rows, :, known : known + width]
                values[places, :, :width] = layer.values[rows, :, known : known + width]
        self._lengths += owned
        self._starts += starts

    def _empty(self, like: Tensor) -> Tensor:
        # Zeros, because columns beyond a row's length have weight 0, and 0 times uninitialized memory may be NaN.
        return like.new_zeros(self.slots, like.shape[1], self.columns, like.shape[3])

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Reads the last token of each live row; returns the logits of the next one, [live rows, vocabulary]."""
        device = self.lm.device
        lengths = torch.tensor(self._lengths, device=device)
        width = max(self._lengths) + 1
        is_even = min(self._lengths) == width - 1
        columns_seen = torch.arange(width, device=device)[None]
        attention = None
        if self._shared is not None and any(self._starts):
            attention = self._shared.step(self._starts, None if is_even else columns_seen > lengths[:, None])
        begun = torch.tensor([self.begun(row) for row in range(self.live)], device=device)
        columns = _Columns(lengths=lengths, width=width, even=is_even, attention=attention)
        layers: list[Any] = [SlotLayer(number, *pair, columns) for number, pair in enumerate(self._layers)]
        inputs: dict[str, Any] = {
            "input_ids": torch.tensor(tokens, device=device)[:, None],
            "past_key_values": Cache(layers=layers),
            "position_ids": (lengths + begun)[:, None],
        }
        window = sliding_window(self.lm)
        if attention is not None:
            # The mask is never read; because it has four dimensions, transformers passes it on instead of making one.
            inputs |= {"forest": attention, "attention_mask": torch.zeros(1, 1, 1, 1)}
        elif not is_even or (window and window < width):
            seen = (columns_seen <= lengths[:, None])[:, None, None]
            inputs["attention_mask"] = by_layer(self.lm, seen, lengths[:, None], columns_seen)
        logits = next_logits(self.lm, self.head, inputs, torch.zeros_like(lengths))
        self._lengths = [length + 1 for length in self._lengths]
        return logits

    def leave(self, row: int) -> int:
        """Frees a row's slot by moving the last live row there.

        Returns:
            The former number of the moved row; ``row`` itself if it was the last.
        """
        last = self.live - 1
        if row != last:
            length = self._lengths[last]
            for keys, values in self._layers:
                keys[row, :, :length] = keys[last, :, :length]
                values[row, :, :length] = values[last, :, :length]
            self._lengths[row], self._starts[row] = length, self._starts[last]
        self._lengths.pop()
        self._starts.pop()
        return last


def next_logits(lm: LanguageModel, head: Head | None, inputs: dict[str, Any], last: Tensor) -> Tensor:
    """Logits at one position of each row, float32, [rows, vocabulary]; the head is applied there only."""
    outputs = outputs_of(lm, head, {**inputs, "use_cache": True})
    return logits_of(lm, head, outputs[torch.arange(len(last), device=lm.device), last]).float()


def _expanded(prefix: Cache, rows: int) -> Cache:
    """A cache in which each row starts with the prefix, without copying it."""
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
