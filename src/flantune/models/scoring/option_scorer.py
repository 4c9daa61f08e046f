"""Scores options: every token's log-probability, with each context read once. Without gradients."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from flantune.models.attention.masks import by_layer, decoder_mask, mutual_tokens, sliding_window
from flantune.models.forms.last_layer import only_at
from flantune.models.forward import check_positions, target_logprobs
from flantune.models.heads import find_head, outputs_of
from flantune.models.language_model import as_tensor
from flantune.models.rope import as_if_alone, following_ropes, regime
from flantune.models.scoring.forest_attention import forest_targets
from flantune.models.scoring.kept_contexts import cached_scores
from flantune.models.scoring.plan import ScoringBatch, side_pack, tree_pack
from flantune.models.scoring.t5_lines import side_targets
from flantune.models.scoring.targets import (
    LIMIT,
    ItemScores,
    PrefixStates,
    by_item,
    read_prefix,
    score_items,
    shared_cache,
)
from flantune.packing.arrays import first_items
from flantune.packing.packs import DecoderPack, EncodedPrompt

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel
    from flantune.packing.packs import TargetTokens
    from flantune.types import Int32


class OptionScorer:
    """Runs batches of one plan; keeps the prefix read last, since batches with the same prefix are adjacent.

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
            ModelError: A context with its option exceeds the model's positions.
        """
        chosen = [units[at] for at in batch.units]
        sums = np.zeros(sum(len(unit.targets) for unit in chosen))
        greedy = np.zeros(len(sums), dtype=np.bool_)
        for length, some, items in by_regime(self.lm, chosen):
            with as_if_alone(self.lm, length):
                found = self._score(some, batch, regime(self.lm, length))
            sums[items], greedy[items] = found.sums, found.greedy
        return ItemScores(sums=sums, greedy=greedy)

    def _score(self, chosen: Sequence[EncodedPrompt], batch: ScoringBatch, regime: Hashable) -> ItemScores:
        """Scores options within one regime of rotary positions."""
        count = sum(len(unit.targets) for unit in chosen)
        lm = self.lm
        if regime != self._regime:
            self._prefix, self._regime = None, regime
        with torch.autocast(lm.device.type, dtype=torch.bfloat16, enabled=lm.compute_dtype == torch.bfloat16):
            if batch.layout == "line":
                hidden, targets = self._line(chosen, batch)
                return score_items(lm, find_head(lm), hidden, targets, count=count)
            if lm.family == "encoder-decoder":
                pack = side_pack(chosen)
                scores = target_logprobs(lm, pack, with_greedy=True)
                return by_item(pack.targets, scores.logprobs, scores.is_greedy, count)
            if batch.layout == "cache":
                return cached_scores(lm, chosen)
            tree = tree_pack(chosen, prefix=len(batch.prefix))
            states = self._read_prefix(batch.prefix) if len(batch.prefix) else None
            return _tree_scores(lm, tree, states, count=count, is_plain=batch.layout == "rows")

    def _line(self, chosen: Sequence[EncodedPrompt], batch: ScoringBatch) -> tuple[Tensor, TargetTokens]:
        if self.lm.family == "encoder-decoder":
            return side_targets(self.lm, chosen)
        return forest_targets(self.lm, chosen, self._read_prefix(batch.prefix) if len(batch.prefix) else None)

    def _read_prefix(self, tokens: Int32) -> PrefixStates:
        if self._prefix is None or not np.array_equal(self._prefix.tokens, tokens):
            self._prefix = None
            self._prefix = read_prefix(self.lm, tokens)
        return self._prefix


def by_regime(
    lm: LanguageModel, units: Sequence[EncodedPrompt]
) -> Iterator[tuple[int, list[EncodedPrompt], list[int]]]:
    """Requests by regime of rotary positions: a length in it, the requests, and the numbers of their options."""
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


def _tree_scores(
    lm: LanguageModel, pack: DecoderPack, prefix: PrefixStates | None, *, count: int, is_plain: bool
) -> ItemScores:
    """Scores of a tree pack's options; ``is_plain``: any model gets only tokens."""
    check_positions(lm, int(pack.positions.max(initial=0)) + 1, setting=LIMIT)
    head = find_head(lm)
    inputs = _plain_inputs(lm, pack) if is_plain else _tree_inputs(lm, pack, prefix)
    if is_plain and lm.reads_both_ways:
        inputs["attention_mask"] = _tree_inputs(lm, pack, None)["attention_mask"]
    rows, length = pack.tokens.shape
    with only_at(lm, pack.targets.row.astype(np.int64) * length + pack.targets.position, rows * length):
        outputs = outputs_of(lm, head, inputs)
    return score_items(lm, head, outputs, pack.targets, count=count)


def _plain_inputs(lm: LanguageModel, pack: DecoderPack) -> dict[str, object]:
    return {"input_ids": as_tensor(pack.tokens, lm.device), "use_cache": False}


def _tree_inputs(lm: LanguageModel, pack: DecoderPack, prefix: PrefixStates | None) -> dict[str, object]:
    inputs = _plain_inputs(lm, pack)
    positions = as_tensor(pack.positions, lm.device)
    if prefix is not None:
        inputs |= {"past_key_values": shared_cache(prefix), "use_cache": True}
    elif not (pack.branches.any() or 0 < sliding_window(lm) <= int(positions.max()) or lm.reads_both_ways):
        # Nothing branches, and padding comes after all targets, so the model's own causal mask is enough.
        return inputs
    known = 0 if prefix is None else len(prefix.tokens)
    segments, branches = (as_tensor(array, lm.device) for array in (pack.segments, pack.branches))
    mask = decoder_mask(segments, branches, mutual_tokens(lm, pack))
    mask = torch.nn.functional.pad(mask, (known, 0), value=True)
    before = torch.arange(known, device=lm.device).expand(len(positions), -1)
    keys = torch.cat([before, positions], dim=1)
    return inputs | {"position_ids": positions, "attention_mask": by_layer(lm, mask, positions, keys)}
