"""Attention within the segments of one flat line by PyTorch's matrix products, in chunks of similar segments."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from flantune.models.attention.rules import AttentionRule, unseen_by, unseen_of_each
from flantune.models.attention.segment_plan import Chunk, Side


def gather(line: Tensor, side: Side, rows: int) -> Tensor:
    """The tokens of a chunk as rows padded with zeros, by head.

    Args:
        line: [tokens, heads, width].
        side: Where the tokens are.
        rows: Segments of the chunk.

    Returns:
        [rows, heads, length, width], contiguous.
    """
    stretch = line[side.start : side.start + side.count]
    taken = stretch if side.real is None else line.index_select(0, side.real)
    if side.places is not None:
        padded = line.new_zeros(rows * side.length, *line.shape[1:])
        taken = padded.index_copy_(0, side.places, taken)
    return taken.view(rows, side.length, *line.shape[1:]).transpose(1, 2).contiguous()


def scatter(line: Tensor, side: Side, rows: Tensor) -> None:
    """The reverse of ``gather``: writes rows back to their places in the line, without the padding."""
    laid = rows.transpose(1, 2).reshape(-1, *line.shape[1:])
    if side.places is not None:
        laid = laid.index_select(0, side.places)
    if side.real is None:
        line[side.start : side.start + side.count].copy_(laid)
    else:
        line.index_copy_(0, side.real, laid)


def toeplitz(table: Tensor, query: int, key: int) -> Tensor:
    """A bias by distance, expanded to all pairs of tokens: entry (i, j) is the bias of distance j − i.

    >>> toeplitz(torch.tensor([[-2, -1, 0, 1, 2]]), 2, 3)
    tensor([[[ 0,  1,  2],
             [-1,  0,  1]]])

    Args:
        table: Bias by head and distance, [heads, 2·reach + 1], distance 0 in the middle.
        query: Number of queries, at most reach + 1.
        key: Number of keys, at most reach + 1.
    """
    reach = table.shape[1] // 2
    part = table[:, reach - query + 1 : reach + key]
    return part.unfold(1, key, 1).flip(1)


def toeplitz_sum(laid: Tensor, reach: int) -> Tensor:
    """The backward pass of ``toeplitz``: for each distance, the sum over all pairs that far apart.

    >>> toeplitz_sum(torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]), 2)
    tensor([[0., 4., 6., 8., 3.]])

    Args:
        laid: [heads, query, key].
        reach: The table's reach.

    Returns:
        [heads, 2·reach + 1].
    """
    heads, query, key = laid.shape
    # Shifts row i of the flipped rows right by i, in rows of width query + key − 1, so that a column is a distance.
    wide = torch.nn.functional.pad(laid.flip(1), (0, query)).reshape(heads, -1)[:, : query * (query + key - 1)]
    sums = wide.view(heads, query, query + key - 1).sum(dim=1)
    return torch.nn.functional.pad(sums, (reach - query + 1, reach - key + 1))


def _weights(
    query: Tensor, key: Tensor, bias: Tensor | None, chunk: Chunk, rule: AttentionRule, *, out: Tensor | None = None
) -> Tensor:
    """Attention weights of a chunk, [rows·heads, query, key], from gathered queries and keys."""
    q, k = query.flatten(0, 1), key.flatten(0, 1).transpose(1, 2)
    if rule.is_causal and chunk.mutual is not None:
        scores = torch.bmm(q, k).mul_(rule.scale)
        scores.view(chunk.rows, -1, *scores.shape[1:]).add_(
            unseen_of_each(chunk.mutual, chunk.query.length, chunk.key.length, rule.window, q)
        )
    elif rule.is_causal:
        # Padding comes after the real keys, so the causal mask hides it from real queries.
        unseen = unseen_by(chunk.query.length, chunk.key.length, rule.window, q)
        scores = torch.baddbmm(unseen, q, k, alpha=rule.scale)
    else:
        scores = torch.bmm(q, k)
        if rule.scale != 1.0:
            scores.mul_(rule.scale)
    by_row = by_head(scores, chunk.rows)
    if bias is not None:
        by_row += toeplitz(bias.to(scores.dtype), chunk.query.length, chunk.key.length)
    if not rule.is_causal:
        _hide_padding(by_row, chunk)
    return torch.softmax(scores, dim=-1) if out is None else torch.softmax(scores, dim=-1, out=out)


def _hide_padding(scores: Tensor, chunk: Chunk) -> None:
    """Sets the scores of padding keys to minus infinity in place, [rows, heads, query, key]."""
    if chunk.is_padding is not None:
        scores.masked_fill_(chunk.is_padding, float("-inf"))
        return
    for row, length in enumerate(chunk.key_lengths):
        scores[row, :, :, length:] = float("-inf")


def _rooms(kept: Tensor | None, plan: tuple[Chunk, ...], heads: int) -> Iterator[Tensor | None]:
    """Each chunk's part of the kept weights, [rows·heads, query, key]; None when it is not kept."""
    start = 0
    for chunk in plan:
        end = start + chunk.cells * heads
        fits = kept is not None and end <= len(kept)
        shape = (chunk.rows * heads, chunk.query.length, chunk.key.length)
        yield kept[start:end].view(shape) if kept is not None and fits else None
        start = end


def _kept(weights: Tensor, rule: AttentionRule, seed: int) -> Tensor:
    """Dropout factors: 0 for dropped weights, 1 / (1 − dropout) for the others; the same for the same seed."""
    generator = torch.Generator(weights.device).manual_seed(seed)
    kept = torch.empty_like(weights).bernoulli_(1.0 - rule.dropout, generator=generator)
    return kept.mul_(1.0 / (1.0 - rule.dropout))


def forward_in_chunks(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    plan: tuple[Chunk, ...],
    rule: AttentionRule,
    *,
    seed: int = 0,
    kept: Tensor | None = None,
) -> Tensor:
    """Attention of every segment, [tokens, heads, width]; tokens of no segment get zeros.

    Args:
        query: [tokens, heads, width].
        key: [tokens, heads or a divisor of them, width].
        value: Like ``key``.
        bias: By head and distance, [heads, 2·reach + 1]; None: none.
        plan: The chunks.
        rule: Which tokens of a segment attend to which.
        seed: Seed of the dropout.
        kept: A flat tensor that receives the attention weights of as many chunks as fit.
    """
    out = _blank(query, _sides(plan)[0])
    groups = query.shape[1] // key.shape[1]
    for number, (chunk, room) in enumerate(zip(plan, _rooms(kept, plan, query.shape[1]), strict=True)):
        q, k, v = _gathered(query, key, value, chunk, groups)
        weights = _weights(q, k, bias, chunk, rule, out=room)
        if rule.dropout:
            weights = weights * _kept(weights, rule, seed + number)
        scatter(out, chunk.query, torch.bmm(weights, v.flatten(0, 1)).view_as(q))
    return out


def backward_in_chunks(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    plan: tuple[Chunk, ...],
    rule: AttentionRule,
    *,
    seed: int = 0,
    kept: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Gradients of query, key, value and bias; arguments as in ``forward_in_chunks``.

    Attention weights that were not kept are computed again.
    """
    found = [_blank(line, sides) for line, sides in zip((query, key, value), _sides(plan), strict=True)]
    found_bias = None if bias is None else torch.zeros_like(bias, dtype=torch.float32)
    groups = query.shape[1] // key.shape[1]
    for number, (chunk, room) in enumerate(zip(plan, _rooms(kept, plan, query.shape[1]), strict=True)):
        rows = _gathered(query, key, value, chunk, groups)
        weights = _weights(rows[0], rows[1], bias, chunk, rule) if room is None else room
        q, k, v = (line.flatten(0, 1) for line in rows)
        g = gather(grad, chunk.query, chunk.rows).flatten(0, 1)
        grad_weights = torch.bmm(g, v.transpose(1, 2))
        used = weights
        if rule.dropout:
            factors = _kept(weights, rule, seed + number)
            used, grad_weights = weights * factors, grad_weights.mul_(factors)
        grad_value = torch.bmm(used.transpose(1, 2), g)
        grad_scores = torch._softmax_backward_data(grad_weights, weights, -1, weights.dtype)
        if found_bias is not None:
            laid = grad_scores.view(chunk.rows, -1, *grad_scores.shape[1:]).sum(dim=0, dtype=torch.float32)
            found_bias += toeplitz_sum(laid, found_bias.shape[1] // 2)
        grad_scores.mul_(rule.scale)
        scatter(found[0], chunk.query, by_head(torch.bmm(grad_scores, k), chunk.rows))
        scatter(found[1], chunk.key, _grouped(by_head(torch.bmm(grad_scores.transpose(1, 2), q), chunk.rows), groups))
        scatter(found[2], chunk.key, _grouped(by_head(grad_value, chunk.rows), groups))
    return found[0], found[1], found[2], None if found_bias is None or bias is None else found_bias.to(bias.dtype)


def _gathered(query: Tensor, key: Tensor, value: Tensor, chunk: Chunk, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    q = gather(query, chunk.query, chunk.rows)
    k, v = (gather(line, chunk.key, chunk.rows) for line in (key, value))
    if groups > 1:
        k, v = (line.repeat_interleave(groups, dim=1) for line in (k, v))
    return q, k, v


def by_head(laid: Tensor, rows: int) -> Tensor:
    """[rows·heads, length, width] → [rows, heads, length, width]."""
    return laid.view(rows, -1, *laid.shape[1:])


def _grouped(rows: Tensor, groups: int) -> Tensor:
    """The sum over the query heads that share a key head."""
    return rows if groups == 1 else rows.view(len(rows), -1, groups, *rows.shape[2:]).sum(dim=2)


def _sides(plan: tuple[Chunk, ...]) -> tuple[list[Side], list[Side], list[Side]]:
    """The sides of queries, keys and values, by chunk."""
    keys = [chunk.key for chunk in plan]
    return [chunk.query for chunk in plan], keys, keys


def _blank(line: Tensor, sides: list[Side]) -> Tensor:
    """Memory for a line; zeros if some tokens belong to no segment, since these are not written."""
    is_whole = sum(side.count for side in sides) == len(line)
    return torch.empty_like(line) if is_whole else torch.zeros_like(line)
