"""What a model thinks of options: every scored token's log-probability, each context read once. For scoring only."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from flantune.errors import ModelError
from flantune.models.attention.masks import by_layer, decoder_mask, sliding_window
from flantune.models.forms.last_layer import only_at
from flantune.models.forward import as_tensor, check_positions, target_logprobs
from flantune.models.heads import Head, find_head, outputs_of
from flantune.models.load import embedded_tokens
from flantune.models.rope import alone, following_ropes, regime
from flantune.models.scoring.forest_layout import STEP
from flantune.models.scoring.plan import ScoringBatch, side_pack, tree_pack
from flantune.packing.arrays import first_items
from flantune.types import DecoderPack, EncodedPrompt

if TYPE_CHECKING:
    from flantune.models.load import LanguageModel
    from flantune.types import Int32, TargetTokens

LIMIT = "packing.max_input_tokens"
"""What to lower where a prompt with its option is too long."""
CHUNK_ELEMENTS = 2**21
"""Logits in memory at once, on a CPU (8 MiB in float32)."""
CHUNK_ROWS = 128
"""At least so many positions at once, so that the head's weights are not read too often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemScores:
    """What a model thinks of each option of a batch; options are numbered over the whole batch.

    Attributes:
        sums: Summed log-likelihood, natural log, added up in float64, [options].
        greedy: Whether every token is the model's first choice, [options].
    """

    sums: NDArray[np.float64]
    greedy: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class PrefixStates:
    """Keys and values of tokens that many rows start with.

    Attributes:
        tokens: The tokens.
        layers: Keys and values of each layer, [1, heads, tokens, width].
    """

    tokens: Int32
    layers: tuple[tuple[Tensor, Tensor], ...]


class OptionScorer:
    """Runs batches of one plan; remembers the prefix read last, since batches of one prefix come together.

    Args:
        lm: The model, in evaluation mode and without gradients (see ``forms.reading_form.scoring_mode``).
    """

    def __init__(self, lm: LanguageModel) -> None:
        self.lm = lm
        self._prefix: PrefixStates | None = None
        self._regime: Hashable = None

    def score(self, units: Sequence[EncodedPrompt], batch: ScoringBatch) -> ItemScores:
        """Scores all options of a batch's requests, in order.

        Raises:
            ModelError: A context with its option is beyond the model's positions.
        """
        chosen = [units[at] for at in batch.units]
        sums = np.zeros(sum(len(unit.targets) for unit in chosen))
        greedy = np.zeros(len(sums), dtype=np.bool_)
        for length, some, items in by_regime(self.lm, chosen):
            with alone(self.lm, length):
                found = self._score(some, batch, regime(self.lm, length))
            sums[items], greedy[items] = found.sums, found.greedy
        return ItemScores(sums=sums, greedy=greedy)

    def _score(self, chosen: Sequence[EncodedPrompt], batch: ScoringBatch, regime: Hashable) -> ItemScores:
        """Scores options of one regime of rotary positions."""
        count = sum(len(unit.targets) for unit in chosen)
        lm = self.lm
        if regime != self._regime:
            self._prefix, self._regime = None, regime
        with torch.autocast(lm.device.type, dtype=torch.bfloat16, enabled=lm.compute_dtype == torch.bfloat16):
            if batch.layout == "line":
                hidden, targets = self._line(chosen, batch)
                return by_item(targets, *score_targets(lm, find_head(lm), hidden, targets), count)
            if lm.family == "encoder-decoder":
                pack = side_pack(chosen)
                scores = target_logprobs(lm, pack, with_greedy=True)
                return by_item(pack.targets, scores.logprobs, scores.is_greedy, count)
            if batch.layout == "cache":
                from flantune.models.scoring.kept_contexts import cached_scores

                return cached_scores(lm, chosen)
            tree = tree_pack(chosen, prefix=len(batch.prefix))
            states = self._read_prefix(batch.prefix) if len(batch.prefix) else None
            return _tree_scores(lm, tree, states, count=count, is_plain=batch.layout == "rows")

    def _line(self, chosen: Sequence[EncodedPrompt], batch: ScoringBatch) -> tuple[Tensor, TargetTokens]:
        if self.lm.family == "encoder-decoder":
            from flantune.models.scoring.t5_lines import side_targets

            return side_targets(self.lm, chosen)
        from flantune.models.scoring.forest_attention import forest_targets

        return forest_targets(self.lm, chosen, self._read_prefix(batch.prefix) if len(batch.prefix) else None)

    def _read_prefix(self, tokens: Int32) -> PrefixStates:
        if self._prefix is None or not np.array_equal(self._prefix.tokens, tokens):
            self._prefix = None
            self._prefix = read_prefix(self.lm, tokens)
        return self._prefix


def by_regime(
    lm: LanguageModel, units: Sequence[EncodedPrompt]
) -> Iterator[tuple[int, list[EncodedPrompt], list[int]]]:
    """Requests apart whose rotary positions differ: a length of the regime, them, and the numbers of their options."""
    if not following_ropes(lm):
        yield 0, list(units), list(range(sum(len(unit.targets) for unit in units)))
        return
    lengths = [[len(unit.inputs) + len(target) - 1 for target in unit.targets] for unit in units]
    regimes = [[regime(lm, length) for length in own] for own in lengths]
    items = first_items(units)
    for wanted in dict.fromkeys(each for own in regimes for each in own):
        kept = [[at for at, each in enumerate(own) if each == wanted] for own in regimes]
        yield (
            max(lengths[row][at] for row, own in enumerate(kept) for at in own),
            [replace(unit, targets=tuple(unit.targets[at] for at in own)) for unit, own in zip(units, kept, strict=True)
             if own],
            [items[row] + at for row, own in enumerate(kept) for at in own],
        )  # fmt: skip


def read_prefix(lm: LanguageModel, tokens: Int32) -> PrefixStates:
    """Reads tokens once for all rows that start with them."""
    cache: Any = DynamicCache()
    model: Any = lm.model.base_model
    # Of the last layer, keys and values alone are wanted.
    with only_at(lm, np.zeros(1, dtype=np.int64), len(tokens)):
        model(input_ids=as_tensor(tokens, lm.device)[None], past_key_values=cache, use_cache=True)
    layers = tuple((layer.keys, layer.values) for layer in cache.layers)
    if not layers or any(keys is None or keys.shape[-2] != len(tokens) for keys, _ in layers):
        raise ModelError("the model keeps no keys and values of what it has read", where="model")
    return PrefixStates(tokens, layers)


def _tree_scores(
    lm: LanguageModel, pack: DecoderPack, prefix: PrefixStates | None, *, count: int, is_plain: bool
) -> ItemScores:
    """Scores of a tree pack's options; ``is_plain``: whatever the model, nothing but tokens is given to it."""
    check_positions(lm, int(pack.positions.max(initial=0)) + 1, setting=LIMIT)
    head = find_head(lm)
    inputs = _plain_inputs(lm, pack) if is_plain else _tree_inputs(lm, pack, prefix)
    rows, length = pack.tokens.shape
    with only_at(lm, pack.targets.row.astype(np.int64) * length + pack.targets.position, rows * length):
        outputs = outputs_of(lm, head, inputs)
    logprobs, greedy = score_targets(lm, head, outputs, pack.targets)
    return by_item(pack.targets, logprobs, greedy, count)


def _plain_inputs(lm: LanguageModel, pack: DecoderPack) -> dict[str, object]:
    return {"input_ids": as_tensor(pack.tokens, lm.device), "use_cache": False}


def _tree_inputs(lm: LanguageModel, pack: DecoderPack, prefix: PrefixStates | None) -> dict[str, object]:
    inputs = _plain_inputs(lm, pack)
    positions = as_tensor(pack.positions, lm.device)
    if prefix is not None:
        inputs |= {"past_key_values": shared_cache(prefix), "use_cache": True}
    elif not pack.branches.any() and not 0 < sliding_window(lm) <= int(positions.max()):
        # Nothing branches off, and what pads a row stands behind all that is asked: the model's own causal mask does.
        return inputs
    known = 0 if prefix is None else len(prefix.tokens)
    mask = decoder_mask(as_tensor(pack.segments, lm.device), as_tensor(pack.branches, lm.device))
    mask = torch.nn.functional.pad(mask, (known, 0), value=True)
    before = torch.arange(known, device=lm.device).expand(len(positions), -1)
    keys = torch.cat([before, positions], dim=1)
    return inputs | {"position_ids": positions, "attention_mask": by_layer(lm, mask, positions, keys)}


def score_targets(
    lm: LanguageModel, head: Head | None, outputs: Tensor, targets: TargetTokens
) -> tuple[Tensor, Tensor]:
    """Log-probability of each target token, and whether it is the first choice; the head once a position.

    Args:
        lm: The model.
        head: Makes logits of hidden states; None: ``outputs`` are logits.
        outputs: [rows, length, width].
        targets: What is asked where.
    """
    length = outputs.shape[1]
    places = targets.row.astype(np.int64) * length + targets.position
    unique, which = np.unique(places, return_inverse=True)
    states = outputs.reshape(-1, outputs.shape[2])[torch.from_numpy(unique).to(lm.device)]
    tokens = torch.from_numpy(targets.token).to(lm.device, torch.long)
    at = torch.from_numpy(which).to(lm.device)
    logprobs = torch.empty(len(tokens), dtype=torch.float32, device=lm.device)
    greedy = torch.empty(len(tokens), dtype=torch.bool, device=lm.device)
    size = _chunk_rows(lm)
    for start in range(0, len(unique), size):
        chunk = states[start : start + size]
        # A few rows more, so that the matrix's shape is one of few (see ``segments.rung``).
        filled = torch.nn.functional.pad(chunk, (0, 0, 0, -len(chunk) % STEP)) if head else chunk
        logits = chunk if head is None else head.logits(lm.model, filled)[: len(chunk)]
        with torch.autocast(lm.device.type, enabled=False):
            logits = logits.float()
            best = logits.argmax(dim=-1)
            total = torch.logsumexp(logits, dim=-1)
        asked = torch.from_numpy(np.flatnonzero((which >= start) & (which < start + size))).to(lm.device)
        place = at[asked] - start
        logprobs[asked] = logits[place, tokens[asked]] - total[place]
        greedy[asked] = best[place] == tokens[asked]
    return logprobs, greedy


def _chunk_rows(lm: LanguageModel) -> int:
    """Positions whose logits are made at once."""
    elements = CHUNK_ELEMENTS if lm.device.type == "cpu" else 2**23
    return STEP * max(CHUNK_ROWS // STEP, elements // (STEP * embedded_tokens(lm.model)))


def by_item(targets: TargetTokens, logprobs: Tensor, greedy: Tensor | None, count: int) -> ItemScores:
    """Sums of each option over its tokens, numbered from 0 to ``count``."""
    weights = logprobs.double().cpu().numpy()
    sums = np.bincount(targets.item, weights=weights, minlength=count).astype(np.float64)
    missed = ~greedy.cpu().numpy() if greedy is not None else np.ones(len(weights), dtype=bool)
    return ItemScores(sums=sums, greedy=np.bincount(targets.item, weights=missed, minlength=count) == 0)


_Layer: Any = DynamicLayer


class _SharedLayer(_Layer):  # type: ignore[misc]
    """A layer's keys and values that all rows start with; what rows add is seen and forgotten."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.keys, self.values, self.is_initialized = keys, values, True

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        rows = key_states.shape[0]
        keys = torch.cat([self.keys.expand(rows, -1, -1, -1), key_states], dim=-2)
        return keys, torch.cat([self.values.expand(rows, -1, -1, -1), value_states], dim=-2)


def shared_cache(prefix: PrefixStates) -> Cache:
    """A cache in which any number of rows see one copy of a prefix, whose memory does not grow with the rows."""
    return Cache(layers=[_SharedLayer(keys, values) for keys, values in prefix.layers])
