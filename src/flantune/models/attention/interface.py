"""flantune's attention, registered with transformers under the name "flantune".

Called with the ends of segments (``cu_seq_lens_q``, as for flash attention), it computes attention within the segments
of one flat line; called without, it does what "sdpa" does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, library
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from flantune.models.attention import door
from flantune.models.attention.rules import AttentionRule
from flantune.models.attention.segment_plan import plan_of
from flantune.models.attention.segments import backward_in_chunks, forward_in_chunks

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "flantune"
MAX_KEPT = 512
"""Attention weights are kept for the backward pass if no segment is longer than this."""


@library.custom_op("flantune::segment_attention", mutates_args=())
def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    cu_query: Tensor,
    cu_key: Tensor,
    mutual: Tensor | None,
    seed: Tensor,
    scale: float,
    is_causal: bool,
    window: int,
    dropout: float,
    room: int,
) -> tuple[Tensor, Tensor]:
    """See ``segment_attention``; one opaque operation, so that a compiled model does not depend on the segments.

    Also returns the attention weights in a flat tensor of ``room`` elements, with as many chunks as fit. What is not
    written of it takes no memory.
    """
    rule = AttentionRule(scale=scale, is_causal=is_causal, window=window, dropout=dropout)
    plan = plan_of(cu_query, cu_key, query.shape[1], mutual, query.device)
    kept = query.new_empty(room)
    return forward_in_chunks(
        query, key, value, bias, plan, rule, seed=int(seed) if dropout else 0, kept=kept
    ), kept  # fmt: skip


@library.custom_op("flantune::segment_attention_backward", mutates_args=())
def _attend_backward(
    grad: Tensor,
    kept: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    cu_query: Tensor,
    cu_key: Tensor,
    mutual: Tensor | None,
    seed: Tensor,
    scale: float,
    is_causal: bool,
    window: int,
    dropout: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rule = AttentionRule(scale=scale, is_causal=is_causal, window=window, dropout=dropout)
    plan = plan_of(cu_query, cu_key, query.shape[1], mutual, query.device)
    seen = int(seed) if dropout else 0
    *lines, table = backward_in_chunks(grad, query, key, value, bias, plan, rule, seed=seen, kept=kept)
    return lines[0], lines[1], lines[2], query.new_empty(0) if table is None else table


@_attend.register_fake
def _(query: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(query, memory_format=torch.contiguous_format), query.new_empty(rest[-1])


@_attend_backward.register_fake
def _(
    _grad: Tensor, _kept: Tensor, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, *_: object
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    lines = [torch.empty_like(line, memory_format=torch.contiguous_format) for line in (query, key, value)]
    return lines[0], lines[1], lines[2], query.new_empty(0) if bias is None else torch.empty_like(bias)


def _save_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1], *inputs[:8])
    ctx.rule = inputs[8:12]
    # Otherwise PyTorch would allocate a gradient of zeros for the kept weights.
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
    saved = ctx.saved_tensors
    if grad is None:
        return (None,) * 13
    query, key, value, bias = _attend_backward(grad.contiguous(), *saved, *ctx.rule)
    return query, key, value, None if saved[4] is None else bias, *[None] * 9


_attend.register_autograd(_backward, setup_context=_save_for_backward)
for _device in ("cpu", "cuda"):
    _attend.register_autocast(_device, torch.bfloat16)


def segment_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    cu_query: Tensor,
    cu_key: Tensor,
    rule: AttentionRule,
    bias: Tensor | None = None,
    mutual: Tensor | None = None,
    longest: int = 0,
    limits: door.Limits | None = None,
) -> Tensor:
    """Attention of each token to its own segment only; the cost is that of the segments one by one.

    Args:
        query: [tokens, heads, width].
        key: [tokens, heads or a divisor of them, width].
        value: Like ``key``.
        cu_query: Start of each segment's queries, and the end of the last, int32 on the CPU, [segments + 1].
        cu_key: Likewise for keys; segment i of the queries attends to segment i of the keys.
        rule: Which tokens of a segment attend to which.
        bias: Added to the scores by head and distance, [heads, 2·reach + 1]; see ``segments.toeplitz``.
        mutual: How many tokens at the start of each segment attend to each other although the rule is causal, int32 on
            the CPU, [segments]; None: none do.
        longest: Keys of the longest segment, or a little more; 0: unknown. On a CPU, attention weights are kept for the
            backward pass if this is known and at most ``MAX_KEPT``; otherwise they are computed again to save memory.
        limits: The ends on the device, for a program on an accelerator.

    Returns:
        [tokens, heads, width]; zeros for tokens of no segment.
    """
    is_plain = bias is None and mutual is None and limits is not None
    if door.is_for(query, key, value, rule, is_plain=is_plain):
        return door.attend(query, key, value, bias, cu_query, cu_key, mutual, rule, limits)
    seed = torch.randint(2**62, (1,)) if rule.dropout else torch.zeros(1, dtype=torch.int64)
    shape = (rule.scale, rule.is_causal, rule.window, rule.dropout)
    is_kept = torch.is_grad_enabled() and longest <= MAX_KEPT and query.device.type == "cpu"
    room = query.shape[0] * query.shape[1] * longest if is_kept else 0
    found: Tensor = _attend(query, key, value, bias, cu_query, cu_key, mutual, seed, *shape, room)[0]
    return found


def attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    position_bias: Tensor | None = None,
    cu_seq_lens_q: Tensor | None = None,
    cu_seq_lens_k: Tensor | None = None,
    mutual: Tensor | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Called by a transformers model in each attention layer; query, key and value are [1, heads, tokens, width]."""
    forest = more.pop("forest", None)
    if forest is not None:
        # Scoring: see ``flantune.models.scoring.forest_attention``.
        return forest(query, key, value, scale=scaling, window=int(more.get("sliding_window") or 0)), None
    if cu_seq_lens_q is None or cu_seq_lens_k is None:
        if position_bias is not None:
            more["position_bias"] = position_bias
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **more
        )
    is_causal = bool(getattr(module, "is_causal", True))
    is_cross = not is_causal and getattr(module, "is_decoder", False)
    rule = AttentionRule(
        scale=query.shape[-1] ** -0.5 if scaling is None else scaling,
        is_causal=is_causal,
        window=int(more.get("sliding_window") or 0),
        dropout=dropout,
    )
    q, k, v = (line.squeeze(0).transpose(0, 1) for line in (query, key, value))
    own, seen = ("q", "k") if is_cross else ("q", "q")
    longest = int(more.get(f"max_length_{seen}") or 0)
    limits = None
    if (there := more.get("ends_there")) is not None:
        limits = (there[own], there[seen], int(more[f"max_length_{own}"]), longest)
    found = segment_attention(
        q,
        k,
        v,
        cu_query=cu_seq_lens_q,
        cu_key=cu_seq_lens_k if is_cross else cu_seq_lens_q,
        rule=rule,
        bias=None if is_cross or position_bias is None else position_bias.squeeze((0, 2)),
        mutual=mutual,
        longest=longest,
        limits=limits,
    )
    return found[None], None


def install(model: PreTrainedModel) -> bool:
    """Makes a model use ``attention``; False where it cannot (its attention is not exchangeable, or eager)."""
    if model.config._attn_implementation == NAME:
        return True
    if model.config._attn_implementation != "sdpa" or not model._can_set_attn_implementation():
        return False
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
    return bool(model.config._attn_implementation == NAME)
