"""Options scored by a T5-like model on a CPU: no padding, shared starts of options read once, few keys and values.

The tokens of all contexts are in one line, and those of all options in another; only attention treats requests one by
one. Cross-attention does not compute keys and values of the contexts when few option tokens attend to them: for a state
``x`` of the encoder, ``q·(K x)`` equals ``(Kᵀ q)·x``, and the weighted mean of ``V x`` is ``V`` times that of ``x``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from flantune.errors import ModelError
from flantune.models.forms.matrix_products import FastLinear
from flantune.models.language_model import start_token
from flantune.models.scoring.forest_layout import filled, line_targets
from flantune.models.scoring.option_tries import OptionTrie, option_trie
from flantune.packing.packs import EncodedPrompt, TargetTokens

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel


@dataclass(frozen=True, slots=True, eq=False)
class _Lines:
    """The places of a batch's requests in their lines.

    Attributes:
        contexts: Start of each context in the line of contexts, and the end of the last, [requests + 1].
        options: Likewise for the option nodes of each request in the line of options.
        tries: The options of each request.
    """

    contexts: tuple[int, ...]
    options: tuple[int, ...]
    tries: tuple[OptionTrie, ...]

    def spans(self) -> Iterator[tuple[slice, slice]]:
        """The option nodes and the context tokens of each request."""
        for nodes, tokens in zip(pairwise(self.options), pairwise(self.contexts), strict=True):
            yield slice(*nodes), slice(*tokens)


def side_targets(lm: LanguageModel, units: Sequence[EncodedPrompt]) -> tuple[Tensor, TargetTokens]:
    """Hidden states of the decoder at every node of the requests' options, and the target tokens with their nodes.

    Args:
        lm: A T5-like model in float32 on a CPU.
        units: The requests.

    Returns:
        States, [1, nodes, width], and the targets, whose positions are nodes.

    Raises:
        ModelError: The model is none of these.
    """
    check_kind(lm)
    tries = tuple(option_trie(unit.targets) for unit in units)
    lines = _Lines(_ends([len(unit.inputs) for unit in units]), _ends([len(trie.tokens) for trie in tries]), tries)
    model: Any = lm.model
    seen = _read(model.get_encoder(), np.concatenate([unit.inputs for unit in units]), lines.contexts)
    hidden = _write(model.get_decoder(), seen, lines, start=start_token(lm))
    asked = [trie.asked + begin for trie, begin in zip(tries, lines.options, strict=False)]
    return hidden[None], line_targets(units, asked)


def check_kind(lm: LanguageModel) -> None:
    """Raises ModelError unless the model has T5's blocks, in float32 on a CPU. Results are checked by a trial later."""
    encoder: Any = lm.model.get_encoder()
    first = getattr(getattr(encoder, "block", [None])[0], "layer", [None])[0]
    if not hasattr(getattr(first, "SelfAttention", None), "compute_bias"):
        raise ModelError("lines need T5's blocks", where="model")
    is_plain = all(weight.dtype == torch.float32 for weight in lm.model.parameters())
    if lm.device.type != "cpu" or lm.compute_dtype != torch.float32 or not is_plain:
        raise ModelError("lines need float32 on a CPU", where="model")


def _ends(sizes: Sequence[int]) -> tuple[int, ...]:
    return (0, *np.cumsum(sizes).tolist())


def _read(encoder: Any, tokens: Any, ends: tuple[int, ...]) -> Tensor:
    """Encoder states of all contexts, [tokens, width]."""
    hidden: Tensor = encoder.embed_tokens(torch.from_numpy(filled(tokens)).long())
    longest = max(end - start for start, end in pairwise(ends))
    bias = None
    for block in encoder.block:
        inner = block.layer[0].SelfAttention
        if inner.has_relative_attention_bias:
            bias = _bias(inner, longest)
        query, key, value = _projected(inner, block.layer[0].layer_norm(hidden))
        mixed = torch.zeros_like(query)
        for start, rows, length in _runs(ends):
            span = slice(start, start + rows * length)
            q, k, v = (line[span].view(rows, length, *line.shape[1:]).transpose(1, 2) for line in (query, key, value))
            added = None if bias is None else bias[None, :, :length, :length]
            found = scaled_dot_product_attention(q, k, v, attn_mask=added, scale=float(inner.scaling))
            mixed[span] = found.transpose(1, 2).reshape(rows * length, *query.shape[1:])
        hidden = block.layer[-1](hidden + inner.o(mixed.flatten(1)))
    final: Tensor = encoder.final_layer_norm(hidden)
    return final


def _runs(ends: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """Runs of contexts of equal length: start of the first, number, length.

    >>> list(_runs((0, 4, 8, 11)))
    [(0, 2, 4), (8, 1, 3)]
    """
    sizes = np.diff(ends)
    firsts = np.flatnonzero(np.diff(sizes, prepend=-1))
    for first, after in pairwise([*firsts.tolist(), len(sizes)]):
        yield ends[first], after - first, int(sizes[first])


def _write(decoder: Any, seen: Tensor, lines: _Lines, *, start: int) -> Tensor:
    """Decoder states of all option nodes, [nodes, width]."""
    tokens = np.concatenate([trie.tokens for trie in lines.tries])
    tokens[list(lines.options[:-1])] = start
    hidden: Tensor = decoder.embed_tokens(torch.from_numpy(filled(tokens)).long())
    added: list[Tensor] = []
    for block in decoder.block:
        inner, cross = block.layer[0].SelfAttention, block.layer[1].EncDecAttention
        if inner.has_relative_attention_bias or not added:
            added = _seen_nodes(inner, lines.tries)
        normed = block.layer[0].layer_norm(hidden)
        hidden = hidden + inner.o(_among_nodes(inner, normed, lines, added))
        normed = block.layer[1].layer_norm(hidden)
        hidden = block.layer[-1](hidden + cross.o(_on_contexts(cross, normed, seen, lines)))
    final: Tensor = decoder.final_layer_norm(hidden)
    return final


def _seen_nodes(inner: Any, tries: Sequence[OptionTrie]) -> list[Tensor]:
    """Numbers to add to the scores among each request's nodes: the bias of their distance; −∞ for other branches."""
    found: dict[bytes, Tensor] = {}
    for trie in tries:
        name = trie.parents.tobytes()
        if name not in found:
            hidden = torch.from_numpy(~trie.sees)
            if inner.has_relative_attention_bias:
                depths = torch.from_numpy(trie.depths).long()
                bias = _bias(inner, int(depths.max()) + 1)[:, depths[:, None], depths]
            else:
                bias = torch.zeros(1, *hidden.shape)
            found[name] = bias.masked_fill(hidden, float("-inf"))
    return [found[trie.parents.tobytes()] for trie in tries]


def _among_nodes(inner: Any, normed: Tensor, lines: _Lines, added: Sequence[Tensor]) -> Tensor:
    """Attention of each node to itself and its predecessors, [nodes, heads · width]."""
    value = _by_head(inner, inner.v(normed))
    if lines.options[-1] == len(lines.tries):
        # Only start tokens, each of which attends to itself.
        return value.flatten(1)
    query, key = (_by_head(inner, project(normed)) for project in (inner.q, inner.k))
    mixed = value.clone()
    for (nodes, _), extra in zip(lines.spans(), added, strict=True):
        if nodes.stop - nodes.start > 1:
            q, k, v = (line[nodes].transpose(0, 1) for line in (query, key, value))
            weights = torch.softmax(torch.baddbmm(extra, q, k.transpose(1, 2), alpha=float(inner.scaling)), dim=-1)
            mixed[nodes] = torch.bmm(weights, v).transpose(0, 1)
    return mixed.flatten(1)


def _on_contexts(cross: Any, normed: Tensor, seen: Tensor, lines: _Lines) -> Tensor:
    """Cross-attention of each node to its request's context, [nodes, heads · width]."""
    query = _by_head(cross, cross.q(normed)) * float(cross.scaling)
    if _is_absorbed(cross, lines):
        return _absorbed(cross, query, seen, lines)
    key, value = (_by_head(cross, project(seen)) for project in (cross.k, cross.v))
    mixed = torch.zeros_like(query)
    for nodes, tokens in lines.spans():
        q, k, v = query[nodes].transpose(0, 1), key[tokens].transpose(0, 1), value[tokens].transpose(0, 1)
        weights = torch.softmax(torch.bmm(q, k.transpose(1, 2)), dim=-1)
        mixed[nodes] = torch.bmm(weights, v).transpose(0, 1)
    return mixed.flatten(1)


def _is_absorbed(cross: Any, lines: _Lines) -> bool:
    """Whether projecting the queries takes fewer multiplications than projecting the encoder's states."""
    if any(type(project) not in (nn.Linear, FastLinear) or project.bias is not None for project in (cross.k, cross.v)):
        return False
    inner, width = cross.k.weight.shape
    pairs = sum((nodes.stop - nodes.start) * (tokens.stop - tokens.start) for nodes, tokens in lines.spans())
    usual = lines.contexts[-1] * inner * width + pairs * inner
    return bool(lines.options[-1] * inner * width + pairs * cross.n_heads * width < usual)


def _absorbed(cross: Any, query: Tensor, seen: Tensor, lines: _Lines) -> Tensor:
    count, heads, _ = query.shape
    into, out = (project.weight.view(heads, -1, seen.shape[1]) for project in (cross.k, cross.v))
    # [nodes, heads, width of a state], contiguous, so that a request's queries are one matrix.
    asked = torch.bmm(query.transpose(0, 1), into).transpose(0, 1).contiguous()
    read = torch.zeros_like(asked)
    for nodes, tokens in lines.spans():
        states = seen[tokens]
        weights = torch.softmax(asked[nodes].flatten(0, 1) @ states.T, dim=-1)
        torch.mm(weights, states, out=read[nodes].view(-1, seen.shape[1]))
    mixed = torch.bmm(read.transpose(0, 1), out.transpose(1, 2))
    return mixed.transpose(0, 1).reshape(count, -1)


def _projected(inner: Any, normed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    query, key, value = (_by_head(inner, project(normed)) for project in (inner.q, inner.k, inner.v))
    return query, key, value


def _by_head(inner: Any, line: Tensor) -> Tensor:
    """[n, heads · width] → [n, heads, width]."""
    return line.view(len(line), inner.n_heads, -1)


def _bias(inner: Any, length: int) -> Tensor:
    """The bias of each pair of positions, by head, [heads, length, length]."""
    found: Tensor = inner.compute_bias(length, length)[0].contiguous()
    return found
