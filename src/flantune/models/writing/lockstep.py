"""Generation in lockstep: batches in which all rows get their next token in the same column of the cache.

Used for encoder-decoders, and for decoder-only models that do not support rows of different length in one batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from transformers import DynamicCache, EncoderDecoderCache

from flantune.models.heads import decoded, logits_of
from flantune.models.language_model import as_tensor, start_token
from flantune.models.rope import as_if_alone
from flantune.models.scoring.plan import forward_cost
from flantune.models.trials import alone
from flantune.models.writing.stretches import stretches

if TYPE_CHECKING:
    from torch import Tensor
    from transformers.cache_utils import Cache

    from flantune.models.heads import Head
    from flantune.models.language_model import LanguageModel
    from flantune.types import Int32


class LockstepBatch(Protocol):
    """Rows that are continued in lockstep."""

    def begin(self) -> Tensor:
        """Reads the prompts; returns the logits of each one's first token, [prompts, vocabulary]."""

    def keep(self, rows: Sequence[int]) -> None:
        """Keeps only these rows, in this order; a row may occur several times."""

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Reads the last token of each row; returns the logits of the next one, [rows, vocabulary]."""


class DecoderBatch:
    """Prompts of the same length, with the model's own kind of cache.

    Args:
        lm: The model.
        prompts: The tokens of each prompt.
        inputs: How many tokens at the start of each are inputs, which prefix attention reads both ways; None: all.
    """

    def __init__(self, lm: LanguageModel, prompts: Sequence[Int32], *, inputs: int | None = None) -> None:
        self.lm, self._inputs = lm, inputs
        self._tokens = as_tensor(np.stack(list(prompts)), lm.device)
        self._cache: Any = None
        self._size = len(prompts)
        self._places = list(range(len(prompts)))

    def begin(self) -> Tensor:
        """Reads the prompts."""
        inputs = self._tokens.shape[1] if self._inputs is None else self._inputs
        return self._run(alone(self.lm, self._tokens, inputs=inputs))

    def keep(self, rows: Sequence[int]) -> None:
        """Drops the other rows from the cache; a cache that does not support this (state-space models) keeps them."""
        self._places = [self._places[row] for row in rows]
        select = getattr(self._cache, "batch_select_indices", None)
        if select is None or any(not hasattr(layer, "batch_select_indices") for layer in self._cache.layers):
            return
        select(torch.tensor(self._places, device=self.lm.device))
        self._size, self._places = len(rows), list(range(len(rows)))

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Reads one token per row."""
        given = [0] * self._size
        for place, token in zip(self._places, tokens, strict=True):
            given[place] = token
        return self._run({"input_ids": torch.tensor(given, device=self.lm.device)[:, None]})[self._places]

    def goes_on(self, tokens: Tensor) -> bool:
        """Whether the model's own generation would use the cache to continue these tokens, instead of reading again."""
        model: Any = self.lm.model
        prepared = model.prepare_inputs_for_generation(tokens, past_key_values=self._cache, next_sequence_length=1)
        return prepared.get("past_key_values") is not None

    def _run(self, given: dict[str, object]) -> Tensor:
        model: Any = self.lm.model
        outputs = model(**given, past_key_values=self._cache, use_cache=True)
        self._cache = outputs.past_key_values
        logits: Tensor = outputs.logits[:, -1].float()
        return logits


class GrowingBatch(LockstepBatch):
    """Prompts of the same length whose rotary positions change as answers grow, continued as transformers does it.

    Some models then read everything again (Phi-3 at the end of its original context); others keep their cache.
    """

    def __init__(self, lm: LanguageModel, prompts: Sequence[Int32]) -> None:
        self.lm = lm
        self._tokens = as_tensor(np.stack(list(prompts)), lm.device)
        self._inputs = self._tokens.shape[1]
        self._batch = DecoderBatch(lm, prompts)

    def begin(self) -> Tensor:
        """Reads the prompts."""
        with as_if_alone(self.lm, self._tokens.shape[1]):
            return self._batch.begin()

    def keep(self, rows: Sequence[int]) -> None:
        """Drops the other rows."""
        self._tokens = self._tokens[torch.tensor(rows, device=self.lm.device)]
        self._batch.keep(rows)

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Reads one token per row, or everything again."""
        new = torch.tensor(tokens, device=self.lm.device)[:, None]
        self._tokens = torch.cat([self._tokens, new], dim=1)
        with as_if_alone(self.lm, self._tokens.shape[1]):
            if self._batch.goes_on(self._tokens):
                return self._batch.step(tokens)
            self._batch = DecoderBatch(self.lm, list(self._tokens.cpu().numpy()), inputs=self._inputs)
            return self._batch.begin()


class EncoderDecoderBatch(LockstepBatch):
    """Prompts for an encoder-decoder: encoded once, their cross-attention keys and values computed once.

    Other prompts may join while answers are generated. The next token of every row goes into the same column, so that
    the distance between two tokens of an answer, from which T5 computes positions, is that of their columns. A mask
    hides the columns before a row's first token.
    """

    def __init__(self, lm: LanguageModel, head: Head | None, prompts: Sequence[Int32]) -> None:
        self.lm, self.head = lm, head
        width = max(map(len, prompts))
        tokens, mask = (np.zeros((len(prompts), width), dtype=np.int64) for _ in range(2))
        for row, ids in enumerate(prompts):
            tokens[row, : len(ids)], mask[row, : len(ids)] = ids, 1
        self._tokens, self._mask = as_tensor(tokens, lm.device), as_tensor(mask, lm.device)
        self._cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        # For each row: number of tokens of its prompt, and the column of its first token.
        self._lengths, self._begun = [len(ids) for ids in prompts], [0] * len(prompts)
        self._read: Tensor

    def begin(self) -> Tensor:
        """Encodes the prompts and reads the decoder's start token."""
        together = stretches(self._lengths, pass_cost=forward_cost(self.lm.device.type))
        self._read = torch.cat([self._encoded(start, stop) for start, stop in together])
        return self.step([start_token(self.lm)] * len(self._tokens))

    def _encoded(self, start: int, stop: int) -> Tensor:
        """The encoder's states of some prompts, padded to the length of the longest of all."""
        model: Any = self.lm.model
        width = max(self._lengths[start:stop])
        tokens, mask = self._tokens[start:stop, :width], self._mask[start:stop, :width]
        read = model.get_encoder()(input_ids=tokens, attention_mask=mask).last_hidden_state
        return _wide(read, self._tokens.shape[1], axis=1)

    def keep(self, rows: Sequence[int]) -> None:
        """Drops the other rows of the encoded prompts and of both caches."""
        places = torch.tensor(rows, device=self.lm.device)
        self._read, self._mask = self._read[places], self._mask[places]
        self._cache.batch_select_indices(places)
        self._lengths, self._begun = ([known[row] for row in rows] for known in (self._lengths, self._begun))

    def join(self, others: EncoderDecoderBatch) -> None:
        """Adds the rows of a batch that has just begun."""
        first = min(self._begun)
        columns = self._cache.get_seq_length() - first
        self._lengths += others._lengths
        self._begun = [begun - first for begun in self._begun] + [columns - 1] * len(others._begun)
        width = max(self._lengths)
        self._read, self._mask = (
            torch.cat([_wide(mine, width, axis=1), _wide(theirs, width, axis=1)])
            for mine, theirs in ((self._read, others._read), (self._mask, others._mask))
        )
        for mine, theirs in _layers(self._cache.self_attention_cache, others._cache.self_attention_cache):
            for name in ("keys", "values"):
                own, new = getattr(mine, name)[:, :, first:], getattr(theirs, name)
                setattr(mine, name, torch.cat([own, torch.nn.functional.pad(new, (0, 0, columns - 1, 0))]))
        for mine, theirs in _layers(self._cache.cross_attention_cache, others._cache.cross_attention_cache):
            for name in ("keys", "values"):
                both = [_wide(getattr(layer, name), width, axis=2) for layer in (mine, theirs)]
                setattr(mine, name, torch.cat(both))

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Reads one token per row."""
        device, sees_own = self.lm.device, None
        if any(self._begun):
            columns = torch.arange(self._cache.get_seq_length() + 1, device=device)
            sees_own = (columns[None] >= torch.tensor(self._begun, device=device)[:, None]).long()
        ids = torch.tensor(tokens, device=device)[:, None]
        outputs = decoded(
            self.lm, self.head, ids, self._read, sees_read=self._mask, sees_own=sees_own, cache=self._cache
        )[:, -1]
        return logits_of(self.lm, self.head, outputs).float()


def _layers(mine: Cache, theirs: Cache) -> Iterator[tuple[Any, Any]]:
    return zip(mine.layers, theirs.layers, strict=True)


def _wide(states: Tensor, width: int, *, axis: int) -> Tensor:
    """The states cut or padded with zeros to ``width`` tokens on an axis."""
    states = states.narrow(axis, 0, min(width, states.shape[axis]))
    around = [0, 0] * (states.ndim - 1 - axis)
    return torch.nn.functional.pad(states, (*around, 0, width - states.shape[axis]))


class UncachedBatch:
    """Prompts of the same length, read again in full for each token: slow, but correct for every model."""

    def __init__(self, lm: LanguageModel, prompts: Sequence[Int32]) -> None:
        self.lm = lm
        self._inputs = as_tensor(np.stack(list(prompts)), lm.device)
        self._written = self._inputs.new_empty((len(prompts), 0))

    def begin(self) -> Tensor:
        """Reads the prompts."""
        if self.lm.family == "encoder-decoder":
            return self.step([start_token(self.lm)] * len(self._inputs))
        return self._run()

    def keep(self, rows: Sequence[int]) -> None:
        """Drops the other rows."""
        places = torch.tensor(rows, device=self.lm.device)
        self._inputs, self._written = self._inputs[places], self._written[places]

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Reads all tokens of each row."""
        new = torch.tensor(tokens, device=self.lm.device)[:, None]
        self._written = torch.cat([self._written, new], dim=1)
        return self._run()

    def _run(self) -> Tensor:
        model: Any = self.lm.model
        if self.lm.family == "encoder-decoder":
            outputs = model(input_ids=self._inputs, decoder_input_ids=self._written, use_cache=False)
        else:
            whole = torch.cat([self._inputs, self._written], dim=1)
            with as_if_alone(self.lm, whole.shape[1]):
                outputs = model(**alone(self.lm, whole, inputs=self._inputs.shape[1]), use_cache=False)
        logits: Tensor = outputs.logits[:, -1].float()
        return logits
