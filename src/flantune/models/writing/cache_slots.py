"""Decoder-only writing in slots: rows of different length side by side, each leaving when it is done, others coming in.

A slot is a row of a preallocated key-value cache. A row's keys lie at columns 0 to its length, whatever its
neighbors' lengths: there is no padding to the left, and nothing is copied as the text grows. Masks hide the columns
beyond a row's own length; explicit position ids say where its next token is. What several rows start with may be kept
once for all of them (``shared_keys``); their own columns then begin after it.
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
    """Where each live row's next key goes: the same for all layers."""

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
        """Nothing to do: it is made with its memory."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Puts the next key and value of each live row after its last, and gives all that is used so far."""
        columns = self.columns
        live = len(columns.lengths)
        if columns.attention is not None:
            columns.attention.layer = self.number
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
        columns: Positions of a row at most, those of its start left out.
        shared: Where keys and values that several rows start with are kept; None: each row has a copy.
    """

    def __init__(
        self, lm: LanguageModel, head: Head | None, *, slots: int, columns: int, shared: SharedKeys | None = None
    ) -> None:
        self.lm, self.head, self.slots, self.columns, self._shared = lm, head, slots, columns, shared
        self._layers: Layers = []
        # Of each live row: columns in use, and the number of its start.
        self._lengths: list[int] = []
        self._starts: list[int] = []

    @property
    def live(self) -> int:
        """Rows that are written in."""
        return len(self._lengths)

    def begun(self, row: int) -> int:
        """Tokens of the start that a live row shares with others."""
        return self._shared.length(self._starts[row]) if self._shared is not None else 0

    def share(self, cache: Cache, row: int, length: int) -> int:
        """Keeps the first tokens of a row that was read, for several rows to start with; the number of the start.

        Args:
            cache: What ``read`` or ``read_prefix`` gave.
            row: Which of its rows.
            length: How many tokens.
        """
        if self._shared is None:
            return NOTHING
        layers: list[Any] = cache.layers
        return self._shared.add([(layer.keys[row, :, :length], layer.values[row, :, :length]) for layer in layers])

    def forget(self, *, but: int) -> None:
        """Lets the starts go that no live row has, but one by its number."""
        if self._shared is not None:
            self._shared.keep({*self._starts, but})

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
        # Of the last layer, too, keys and values are all that counts.
        with only_at(self.lm, np.zeros(1, dtype=np.int64), len(tokens)):
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
        ends = np.array([len(rest) - 1 for rest in rests])
        last = torch.from_numpy(ends).to(self.lm.device)
        given: dict[str, Any] = {"input_ids": ids, "past_key_values": cache}
        if self.lm.reads_both_ways:
            given |= self._both_ways(last)
        with only_at(self.lm, np.arange(len(rests)) * tokens.shape[1] + ends, tokens.size):
            return next_logits(self.lm, self.head, given, last), cache

    def _both_ways(self, last: Tensor) -> dict[str, Any]:
        """The mask with which the tokens of each row see each other, up to its last."""
        places = torch.arange(int(last.max()) + 1, device=self.lm.device)[None]
        segments = (places <= last[:, None]).long()
        return {
            "position_ids": places.expand(len(last), -1),
            "attention_mask": by_layer(self.lm, context_mask(segments, segments), places, places),
        }

    def enter(
        self, cache: Cache, sources: Sequence[int], lengths: Sequence[int], starts: Sequence[int] | None = None
    ) -> None:
        """Gives read prompts a slot each, after the live rows.

        Args:
            cache: What ``read`` gave.
            sources: Which of its rows goes to each slot; a row may go to several.
            lengths: Tokens of each.
            starts: The start that each shares with others, by number; None: none does.
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
        # Zeros: what lies beyond a row's length counts with weight 0, and 0 times garbage may be not a number.
        return like.new_zeros(self.slots, like.shape[1], self.columns, like.shape[3])

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Reads the token each live row wrote last; logits of its next, [live rows, vocabulary]."""
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
            # Four dimensions: transformers hands it through as it is instead of making a mask; nobody reads it.
            inputs |= {"forest": attention, "attention_mask": torch.zeros(1, 1, 1, 1)}
        elif not is_even or (window and window < width):
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
            self._lengths[row], self._starts[row] = length, self._starts[last]
        self._lengths.pop()
        self._starts.pop()
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
