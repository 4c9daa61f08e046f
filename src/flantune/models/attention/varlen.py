"""Attention within segments by PyTorch's variable-length kernel: flash attention in bfloat16 on an NVIDIA GPU.

It replaces the matrix products of ``segments`` in training, scoring and generation. Both agree to within rounding,
which is checked on made-up segments before the kernel is used. The kernel supports neither a bias by distance nor
prefix attention (tokens that attend to each other under a causal rule); these are left to the products.
"""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

from flantune.models.attention.door import Limits, Program
from flantune.models.attention.rules import AttentionRule
from flantune.models.attention.segment_plan import plan_of
from flantune.models.attention.segments import backward_in_chunks, forward_in_chunks
from flantune.models.transfer import on_device
from flantune.models.trials import FAILURES

WIDTHS, WIDEST = 8, 256
"""Supported widths of a head: multiples of the first, up to the second."""
TOLERANCE = 1e-2
"""Largest relative error, ‖difference‖ / ‖expected‖; the rounding of bfloat16 alone is 0.2%."""
WORDS = frozenset(inspect.signature(varlen_attn).parameters)
"""Parameters of this PyTorch's kernel: 2.10 has no ``window_size``; 2.11 accepts grouped heads without a flag."""
_GROUPED: dict[str, Any] = {"enable_gqa": True} if "enable_gqa" in WORDS else {}


def find_program() -> Program:
    """The kernel as a ``door.Program``."""
    reason = why_not(torch.device("cuda"))
    return Program(
        attend=varlen_attention,
        dtypes=() if reason else (torch.bfloat16,),
        width_step=WIDTHS,
        widest=WIDEST,
        is_plain=True,
        why_not=reason,
    )


@lru_cache(maxsize=4)
def why_not(device: torch.device) -> str:
    """Why the kernel cannot be used on a device; empty when it can. The trial runs once per process."""
    if device.type == "cuda" and not torch.cuda.is_available():
        return "there is no NVIDIA GPU"
    if not {"scale", "window_size"} <= WORDS:
        return f"the variable-length attention of PyTorch {torch.__version__} has no windows; 2.11 and later have"
    try:
        return "" if agrees(device) else "its results differ from those of PyTorch's products"
    except FAILURES as error:
        return (str(error).strip() or type(error).__name__).splitlines()[0]


def varlen_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    cu_query: Tensor,
    cu_key: Tensor,
    mutual: Tensor | None,
    rule: AttentionRule,
    limits: Limits | None,
) -> Tensor:
    """See ``interface.segment_attention``; the ends of the segments are those of ``limits``, on the device."""
    assert limits is not None and bias is None and mutual is None  # As ``door.is_for`` made sure.
    cu_query, cu_key, longest_query, longest_key = limits
    back = rule.window - 1 if rule.window else -1
    found: Any = varlen_attn(
        query,
        key,
        value,
        cu_query,
        cu_key,
        longest_query,
        longest_key,
        scale=rule.scale,
        window_size=(back, 0) if rule.is_causal else (-1, -1),
        **_GROUPED,
    )
    line: Tensor = found
    return line


def agrees(device: torch.device) -> bool:
    """Whether values and gradients of the kernel are those of the products, on made-up segments, to within rounding."""
    drawn = torch.Generator().manual_seed(0)
    rules = (
        AttentionRule(scale=0.2, is_causal=True),
        AttentionRule(scale=0.2, is_causal=True, window=5),
        AttentionRule(scale=1.0, is_causal=False),
    )
    return all(_agrees(rule, drawn, device) for rule in rules)


def _agrees(rule: AttentionRule, drawn: torch.Generator, device: torch.device) -> bool:
    lengths = ([3, 40, 17], [3, 40, 17] if rule.is_causal else [9, 5, 33])
    ends = [np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32) for sizes in lengths]
    shapes = ((60, 4), (60, 4), (60 if rule.is_causal else 47, 2), (60 if rule.is_causal else 47, 2))
    grad, query, key, value = (torch.randn(*shape, 32, generator=drawn).to(torch.bfloat16) for shape in shapes)
    cu_query, cu_key = (torch.from_numpy(each) for each in ends)
    plan = plan_of(cu_query, cu_key, 4)
    exact = (query.float(), key.float(), value.float(), None)
    wanted = (
        forward_in_chunks(*exact, plan, rule),
        *backward_in_chunks(grad.float(), *exact, plan, rule)[:3],
    )
    lines = [on_device(line, device).requires_grad_() for line in (query, key, value)]
    there = [on_device(each, device) for each in (cu_query, cu_key)]
    limits = (there[0], there[1], 64, 64)
    with torch.enable_grad():
        out = varlen_attention(lines[0], lines[1], lines[2], None, cu_query, cu_key, None, rule, limits)
        found = (out.detach(), *torch.autograd.grad(out, lines, on_device(grad, device)))
    pairs = zip(found, wanted, strict=True)
    return all(float((one.float().cpu() - other).norm() / other.norm()) < TOLERANCE for one, other in pairs)
