"""The two operations that a kernel may take over, each way of computing them timed: attention and the head's loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu.made_up import prompts
from benchmarks.gpu.timing import Task, seconds
from flantune.models.attention import door
from flantune.models.attention.interface import segment_attention
from flantune.models.attention.rules import AttentionRule
from flantune.models.attention.segment_plan import padded_length
from flantune.models.forms.log_softmax import token_logprobs
from flantune.models.transfer import on_device


def measure(task: Task) -> dict[str, Any]:
    """Milliseconds there and back, and how far the ways are apart."""
    return {"attention": _attention(task), "head": _head(task)}


def _attention(task: Task) -> dict[str, Any]:
    heads, width, tokens = (2, 16, 512) if task.is_small else (16, 128, 32_768)
    lengths: list[int] = []
    for prompt in prompts(512, 1_000):
        size = len(prompt.inputs) + len(prompt.targets[0])
        if sum(lengths) + size > tokens - 32:
            break
        lengths.append(size)
    ends = np.concatenate([[0], np.cumsum(sorted(lengths, reverse=True))]).astype(np.int32)
    drawn = torch.Generator().manual_seed(0)
    lines = [torch.randn(tokens, heads, width, generator=drawn).to(torch.bfloat16) for _ in range(4)]
    query, key, value, grad = (on_device(line, task.device).requires_grad_() for line in lines)
    there = on_device(torch.from_numpy(np.append(ends, np.int32(tokens))), task.device)
    longest = padded_length(max(lengths))
    cu = torch.from_numpy(ends)
    rule = AttentionRule(scale=width**-0.5, is_causal=True)

    limits = (there, there, longest, longest)

    def attend() -> Tensor:
        return segment_attention(
            query, key, value, cu_query=cu, cu_key=cu, rule=rule, longest=longest, limits=limits
        )  # fmt: skip

    def both_ways() -> None:
        torch.autograd.grad(attend(), (query, key, value), grad)

    found = {"tokens": tokens, "products_ms": _milliseconds(task, both_ways)}
    with torch.no_grad():
        products = attend()
        with door.in_use(task.device.type):
            kernel = attend()
    found["difference"] = _far(kernel[: ends[-1]], products[: ends[-1]])
    with door.in_use(task.device.type):
        return {**found, "kernel_ms": _milliseconds(task, both_ways)}


def _head(task: Task) -> dict[str, Any]:
    """Flantune's own loss at the targets and PyTorch's fused one, where this PyTorch has it."""
    rows, width, vocabulary = (64, 32, 512) if task.is_small else (4_608, 2_048, 32_000)
    drawn = torch.Generator().manual_seed(0)
    made = [torch.randn(count, width, generator=drawn) * width**-0.5 for count in (rows, vocabulary)]
    hidden, weight = (on_device(one.to(torch.bfloat16), task.device).requires_grad_() for one in made)
    tokens = on_device(torch.randint(vocabulary, (rows,), generator=drawn), task.device)
    shares = on_device(torch.rand(rows, generator=drawn), task.device)
    fused = getattr(torch.nn.functional, "linear_cross_entropy", None)

    def own() -> Tensor:
        found = token_logprobs(hidden @ weight.T, tokens)
        return -(found * shares).sum()

    def theirs() -> Tensor:
        assert fused is not None
        losses: Tensor = fused(hidden, weight, tokens, reduction="none")
        return (losses.float() * shares).sum()

    found: dict[str, Any] = {"rows": rows, "vocabulary": vocabulary}
    ways: dict[str, Callable[[], Tensor]] = {"own": own, **({"fused": theirs} if fused is not None else {})}
    gradients = {}
    for name, loss in ways.items():
        found[f"{name}_ms"] = _milliseconds(task, lambda loss=loss: torch.autograd.grad(loss(), (hidden, weight)))  # type: ignore[misc]
        gradients[name] = torch.autograd.grad(loss(), (hidden, weight))
    if fused is None:
        return {**found, "why_not_fused": f"PyTorch {torch.__version__} has no linear_cross_entropy"}
    pairs = zip(gradients["fused"], gradients["own"], strict=True)
    return {**found, "difference": max(_far(a, b) for a, b in pairs)}


def _milliseconds(task: Task, work: Callable[[], object]) -> float:
    return round(1_000 * seconds(task.device, work, rounds=2 if task.is_small else 10), 3)


def _far(one: Tensor, other: Tensor) -> float:
    return float(f"{float((one.float() - other.float()).norm() / other.float().norm()):.3g}")
