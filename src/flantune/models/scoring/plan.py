"""Which requests are read together: each context once, options as its branches, shared starts once for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from flantune.models.scoring.forest_layout import cut_forest, cut_line
from flantune.models.scoring.option_tries import option_trie
from flantune.models.scoring.shared_starts import FORWARD_COST, PrefixGroup, shared_prefixes, token_order
from flantune.packing.arrays import TargetList, first_items
from flantune.packing.packs import DecoderPack, EncodedPrompt, EncoderDecoderPack
from flantune.types import Family, Int32

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel

ScoringLayout = Literal["prefix", "line", "tree", "cache", "rows"]
"""How a model reads options: "tree" puts them as branches after their context; "prefix" also reads a start shared by
many contexts only once; "line" does both without padding, one request after another; "cache" reads contexts of one
length and then their options from cached keys and values; "rows" puts each option after its own copy of the context,
which every model supports."""

ACCELERATOR_FORWARD_COST = 512
"""``shared_starts.FORWARD_COST`` for an accelerator, which computes many more positions while a pass is launched."""
CACHED_POSITIONS = 512
"""Largest number of positions of a forward pass on a CPU: more are not faster and take more memory (measured, width
512: 512 and 1,024 positions take the same time, 256 take 15% more, and 4,096, which no longer fit into the cache,
25%)."""
KEPT_SHARE = 0.25
"""Memory of a cached position, as a share of that of a position being read."""

NOTHING: Int32 = np.zeros(0, dtype=np.int32)
"""No tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringBatch:
    """Requests of one forward pass; small, since its arrays are created when needed.

    Attributes:
        layout: The layout.
        units: Indices of the requests, longest first, one per row; in a line in their order.
        prefix: Tokens before all rows, read once for all batches with the same prefix; empty: none.
        positions: Array positions without the prefix: its cost.
    """

    layout: ScoringLayout
    units: tuple[int, ...]
    prefix: Int32 = field(default_factory=lambda: NOTHING)
    positions: int


def forward_cost(device_type: str) -> int:
    """Array positions that one more forward pass must save on a kind of device ("cpu", "cuda" …)."""
    return FORWARD_COST if device_type == "cpu" else ACCELERATOR_FORWARD_COST


def best_budget(device_type: str, batch_tokens: int) -> int:
    """Best number of array positions of a forward pass on a kind of device, at most ``batch_tokens``."""
    return min(batch_tokens, CACHED_POSITIONS) if device_type == "cpu" else batch_tokens


def shares_starts(lm: LanguageModel) -> bool:
    """Whether a shared start is read the same way in two contexts: not if inputs see later tokens."""
    return lm.family == "decoder-only" and not lm.reads_both_ways


def plan_scoring(
    units: Sequence[EncodedPrompt],
    *,
    family: Family,
    layout: ScoringLayout,
    batch_tokens: int,
    pass_cost: int = FORWARD_COST,
    shares_starts: bool = True,
) -> list[ScoringBatch]:
    """All requests in batches of at most ``batch_tokens`` positions (or of one request).

    A pure function of the requests: it depends neither on existing scores nor on the process that computes.

    Args:
        units: The requests: a context and its options, each with at least one token ("rows": with one option).
        family: The model's family.
        layout: The model's layout.
        batch_tokens: Array positions of a batch.
        pass_cost: Array positions that one more forward pass must save.
        shares_starts: Shared starts of a decoder-only model's contexts may be read once for all.
    """
    if layout == "cache":
        return _plan_cache(units, batch_tokens, pass_cost)
    if layout == "line" and not (family == "decoder-only" and shares_starts):
        return _plan_lines(units, batch_tokens)
    if layout == "line":
        return _plan_forests(units, batch_tokens, pass_cost)
    groups = [PrefixGroup(tuple(range(len(units))), 0)]
    if layout == "prefix" and family == "decoder-only":
        groups = shared_prefixes([unit.inputs for unit in units], pass_cost=pass_cost)
    return [batch for group in groups for batch in _plan_group(units, group, family, layout, batch_tokens, pass_cost)]


def _plan_group(
    units: Sequence[EncodedPrompt],
    group: PrefixGroup,
    family: Family,
    layout: ScoringLayout,
    batch_tokens: int,
    pass_cost: int,
) -> list[ScoringBatch]:
    sizes = request_sizes([units[at] for at in group.members], family) - np.array([[group.length, 0]])
    order = sorted(range(len(sizes)), key=lambda at: (-int(sizes[at].sum()), group.members[at]))
    kept = int(group.length * KEPT_SHARE)
    prefix = units[group.members[0]].inputs[: group.length]
    widths = sizes if family == "encoder-decoder" else sizes.sum(axis=1, keepdims=True)
    return [
        ScoringBatch(
            layout=layout,
            units=tuple(group.members[order[place]] for place in range(start, end)),
            prefix=prefix,
            positions=(end - start) * int(widths[order[start:end]].max(axis=0).sum()),
        )
        for start, end in pairwise(cut_rows(widths[order], max_positions=batch_tokens, kept=kept, pass_cost=pass_cost))
    ]


def request_sizes(units: Sequence[EncodedPrompt], family: Family) -> NDArray[np.int64]:
    """Number of tokens to read for each request, [requests, 2]: of its context and of its options.

    The last token of an option is predicted but never read. An encoder-decoder's options each begin with a start token,
    which single-token options share.
    """
    side = _branch_tokens if family == "decoder-only" else _decoder_tokens
    return np.array([[len(unit.inputs), side(unit)] for unit in units], dtype=np.int64).reshape(len(units), 2)


def _branch_tokens(unit: EncodedPrompt) -> int:
    return sum(len(target) - 1 for target in unit.targets)


def _decoder_tokens(unit: EncodedPrompt) -> int:
    return max(1, sum(len(target) for target in unit.targets if len(target) > 1))


def cut_rows(
    widths: NDArray[np.int64], *, max_positions: int, kept: int = 0, pass_cost: int = FORWARD_COST
) -> list[int]:
    """Where to cut rows, sorted by width, into batches with the least total cost of padding and passes; ends included.

    Dynamic programming over the last cut; a batch costs its positions, including padding, plus ``pass_cost``.

    >>> cut_rows(np.array([[310], [300], [110], [100]]), max_positions=8192)
    [0, 2, 4]

    Args:
        widths: [rows, sides].
        max_positions: Largest number of positions in a batch, which has at least one row.
        kept: Extra positions per row that count against ``max_positions``.
        pass_cost: Array positions that one more batch must save.
    """
    count = len(widths)
    cost, cut = np.zeros(count + 1), np.zeros(count + 1, dtype=np.int64)
    for end in range(1, count + 1):
        start = max(0, end - max(1, max_positions // max(1, int(widths[end - 1].sum()) + kept)))
        widest = np.maximum.accumulate(widths[start:end][::-1])[::-1].sum(axis=1)
        rows = np.arange(end - start, 0, -1)
        whole = cost[start:end] + rows * widest + pass_cost
        whole[:-1][(rows * (widest + kept))[:-1] > max_positions] = np.inf
        best = int(np.argmin(whole))
        cost[end], cut[end] = whole[best], start + best
    cuts = [count]
    while cuts[-1] > 0:
        cuts.append(int(cut[cuts[-1]]))
    return cuts[::-1]


def _plan_lines(units: Sequence[EncodedPrompt], batch_tokens: int) -> list[ScoringBatch]:
    """Lines of requests that share no start, longest first; a start shared by a request's options is read once."""
    sizes = [len(unit.inputs) + len(option_trie(unit.targets).tokens) for unit in units]
    order = sorted(range(len(units)), key=lambda at: -sizes[at])
    cuts, totals = cut_line([sizes[at] for at in order], [0] * len(order), max_positions=batch_tokens)
    return _lines(order, cuts, totals)


def _lines(
    members: Sequence[int], cuts: Sequence[int], totals: Sequence[int], prefix: Int32 = NOTHING
) -> list[ScoringBatch]:
    return [
        ScoringBatch(layout="line", units=tuple(members[start:end]), prefix=prefix, positions=total)
        for (start, end), total in zip(pairwise(cuts), totals, strict=True)
        if end > start
    ]


def _plan_forests(units: Sequence[EncodedPrompt], batch_tokens: int, pass_cost: int) -> list[ScoringBatch]:
    """Lines of requests that share starts; a start shared by more requests than fit in a line is read before."""
    order = token_order([unit.inputs for unit in units])
    places = {at: place for place, at in enumerate(order)}
    free, batches = set(order), []
    for group in shared_prefixes([unit.inputs for unit in units], pass_cost=pass_cost):
        members = sorted(group.members, key=places.__getitem__)
        if group.length and len(_cut_lines(units, members, 0, batch_tokens)) > 1:
            batches += _cut_lines(units, members, group.length, batch_tokens)
            free -= set(members)
    return [*batches, *_cut_lines(units, [at for at in order if at in free], 0, batch_tokens)]


def _cut_lines(
    units: Sequence[EncodedPrompt], members: Sequence[int], known: int, batch_tokens: int
) -> list[ScoringBatch]:
    cuts, totals = cut_forest([units[at] for at in members], max_positions=batch_tokens, known=known)
    return _lines(members, cuts, totals, units[members[0]].inputs[:known] if known else NOTHING)


def _plan_cache(units: Sequence[EncodedPrompt], batch_tokens: int, pass_cost: int) -> list[ScoringBatch]:
    """Contexts of one length together, since a model that needs this may not distinguish padding from text."""
    by_length: dict[int, list[int]] = {}
    for at in sorted(range(len(units)), key=lambda at: (-len(units[at].inputs), -len(units[at].targets), at)):
        by_length.setdefault(len(units[at].inputs), []).append(at)
    batches = []
    for length, members in by_length.items():
        # The options of a context use a copy of its keys and values.
        sizes = [length + sum(len(target) + int(length * KEPT_SHARE) for target in units[at].targets) for at in members]
        for start, end in pairwise(cut_rows(np.array(sizes)[:, None], max_positions=batch_tokens, pass_cost=pass_cost)):
            taken = tuple(members[start:end])
            batches.append(ScoringBatch(layout="cache", units=taken, positions=sum(sizes[start:end])))
    return batches


def tree_pack(units: Sequence[EncodedPrompt], *, prefix: int = 0) -> DecoderPack:
    """One request per row: its context after the prefix, then its options as branches, each without its last token.

    An option of one token takes no position: like every option's first token, it is predicted at the context's end.

    >>> yes_maybe = EncodedPrompt(inputs=np.array([5, 6]), targets=(np.array([7]), np.array([8, 9, 1])))
    >>> pack = tree_pack([yes_maybe])
    >>> pack.tokens.tolist(), pack.positions.tolist(), pack.branches.tolist()
    ([[5, 6, 8, 9]], [[0, 1, 2, 3]], [[0, 0, 0, 0]])
    >>> pack.targets.position.tolist(), pack.targets.token.tolist(), pack.targets.item.tolist()
    ([1, 1, 2, 3], [7, 8, 9, 1], [0, 1, 1, 1])

    Args:
        units: The requests, one a row.
        prefix: Number of tokens of every context that were read before.
    """
    width = int(request_sizes(units, "decoder-only").sum(axis=1).max()) - prefix
    tokens = np.zeros((len(units), width), dtype=np.int32)
    positions, segments, branches = (np.zeros_like(tokens) for _ in range(3))
    targets, items = TargetList(), first_items(units)
    for row, unit in enumerate(units):
        at = trunk = len(unit.inputs) - prefix
        tokens[row, :at] = unit.inputs[prefix:]
        positions[row, :at] = np.arange(prefix, len(unit.inputs))
        is_branching = sum(len(target) > 1 for target in unit.targets) > 1
        for option, target in enumerate(unit.targets):
            end = at + len(target) - 1
            tokens[row, at:end] = target[:-1]
            positions[row, at:end] = np.arange(len(unit.inputs), len(unit.inputs) + end - at)
            branches[row, at:end] = option + 1 if is_branching else 0
            targets.add(row, [trunk - 1, *range(at, end)], target, items[row] + option)
            at = end
        segments[row, :at] = 1
    return DecoderPack(
        tokens=tokens, positions=positions, segments=segments, branches=branches, targets=targets.arrays()
    )


def side_pack(units: Sequence[EncodedPrompt]) -> EncoderDecoderPack:
    """One request per row: its context for the encoder, its options side by side for the decoder.

    Options of one token are predicted at another option's start token, or at the only one.

    >>> yes_maybe = EncodedPrompt(inputs=np.array([5, 1]), targets=(np.array([7]), np.array([8, 9])))
    >>> pack = side_pack([yes_maybe])
    >>> pack.decoder_tokens.tolist(), pack.targets.position.tolist(), pack.targets.item.tolist()
    ([[0, 8]], [0, 0, 1], [0, 1, 1])
    """
    encoder_width, decoder_width = request_sizes(units, "encoder-decoder").max(axis=0)
    encoder_tokens = np.zeros((len(units), encoder_width), dtype=np.int32)
    encoder_segments = np.zeros_like(encoder_tokens)
    decoder_tokens = np.zeros((len(units), decoder_width), dtype=np.int32)
    decoder_segments, decoder_contexts = np.zeros_like(decoder_tokens), np.zeros_like(decoder_tokens)
    targets, items = TargetList(), first_items(units)
    for row, unit in enumerate(units):
        encoder_tokens[row, : len(unit.inputs)] = unit.inputs
        encoder_segments[row, : len(unit.inputs)] = 1
        at, segment = 0, 1
        for option, target in enumerate(unit.targets):
            end = at + len(target) if len(target) > 1 else at
            decoder_tokens[row, at + 1 : end] = target[:-1]
            decoder_segments[row, at:end] = segment
            targets.add(row, [*range(at, end)] or [0], target, items[row] + option)
            segment += end > at
            at = end
        decoder_segments[row, : max(at, 1)] = np.maximum(decoder_segments[row, : max(at, 1)], 1)
        decoder_contexts[row, : max(at, 1)] = 1
    return EncoderDecoderPack(
        encoder_tokens=encoder_tokens,
        encoder_segments=encoder_segments,
        decoder_tokens=decoder_tokens,
        decoder_segments=decoder_segments,
        decoder_contexts=decoder_contexts,
        targets=targets.arrays(),
    )
