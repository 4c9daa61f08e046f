"""The softmax over the vocabulary, in as few passes over the logits as there can be.

Where there is a program in C++ for it, logits are read as they come from their product, in bfloat16 or float32, and
neither their log-softmax nor a float32 copy is ever in memory.
"""

from __future__ import annotations

import ctypes
from ctypes import c_int64, c_void_p
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from flantune.models.attention import door
from flantune.models.forms.row_operations import call, is_same, threads_for


class _Softmax(ctypes.Structure):
    """As ``row_operations.cpp`` has it."""

    _fields_ = (
        *((name, c_void_p) for name in ("logits", "log_sums", "greatest", "tokens", "grad", "grad_logits")),
        *((name, c_int64) for name in ("rows", "width", "is_half", "threads")),
    )


def log_sums(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The log of the sum of e^logit of each row, float32, and the first place of its greatest logit, both [n].

    Args:
        logits: [n, vocabulary]; no gradient is computed.
    """
    if _is_for(logits):
        return _summed(logits.contiguous())
    wide = logits.float()
    return torch.logsumexp(wide, dim=-1), wide.argmax(dim=-1)


def token_logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    """Natural log-probability of one token per row, float32, [n].

    Args:
        logits: [n, vocabulary].
        tokens: [n].
    """
    kind = _TokenLogprobs if _is_for(logits) else PlainTokenLogprobs
    found: Tensor = kind.apply(logits, tokens)  # type: ignore[no-untyped-call]
    return found


class _TokenLogprobs(torch.autograd.Function):
    """By the program; the logits are kept, in their own dtype."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, tokens: Tensor) -> Tensor:
        logits, tokens = logits.contiguous(), tokens.contiguous()
        sums, _ = _summed(logits)
        ctx.save_for_backward(logits, tokens, sums)
        return logits.gather(1, tokens[:, None])[:, 0].float() - sums

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        logits, tokens, sums = ctx.saved_tensors
        grad, grad_logits = grad.contiguous(), torch.empty_like(logits)
        named = {"tokens": tokens.data_ptr(), "grad": grad.data_ptr(), "grad_logits": grad_logits.data_ptr()}
        call("flantune_sum_up_back", _softmax(logits, sums, **named))
        return grad_logits, None


class PlainTokenLogprobs(torch.autograd.Function):
    """By PyTorch: identical to the bit to ``cross_entropy``, with half the memory passes and a third of the memory.

    The gradient overwrites the saved tensor, so the backward pass can run only once.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, tokens: Tensor) -> Tensor:
        """The log-softmax at the tokens, [n]."""
        logprobs = torch.log_softmax(logits.float(), dim=-1)
        ctx.save_for_backward(logprobs, tokens)
        ctx.dtype = logits.dtype
        return logprobs.gather(1, tokens[:, None])[:, 0]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """The gradient of the logits, [n, vocabulary]: (one at the token − softmax) · grad."""
        logprobs, tokens = ctx.saved_tensors
        found = logprobs.exp_().mul_(-grad[:, None]).scatter_add_(1, tokens[:, None], grad[:, None])
        return found.to(ctx.dtype), None


class TokenAndMeanLogprobs(torch.autograd.Function):
    """``PlainTokenLogprobs`` and the mean log-probability over the vocabulary, both float32, [n]; one more pass."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The log-softmax at the tokens, [n], and its mean over the vocabulary, [n]."""
        logprobs = torch.log_softmax(logits.float(), dim=-1)
        ctx.save_for_backward(logprobs, tokens)
        ctx.dtype = logits.dtype
        return logprobs.gather(1, tokens[:, None])[:, 0], logprobs.mean(dim=-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, mean_grad: Tensor) -> tuple[Tensor, None]:
        """The gradient of the logits: one-hot · grad + mean_grad / vocabulary − softmax · (grad + mean_grad)."""
        logprobs, tokens = ctx.saved_tensors
        found = logprobs.exp_().mul_(-(grad + mean_grad)[:, None]).add_((mean_grad / logprobs.shape[-1])[:, None])
        return found.scatter_add_(1, tokens[:, None], grad[:, None]).to(ctx.dtype), None


def _is_for(logits: Tensor) -> bool:
    return (
        door.rows_in_use(logits.dtype) and logits.device.type == "cpu" and logits.numel() > 0 and _agrees(logits.dtype)
    )


def _summed(logits: Tensor) -> tuple[Tensor, Tensor]:
    sums, greatest = logits.new_empty(len(logits), dtype=torch.float32), logits.new_empty(len(logits), dtype=torch.long)
    call("flantune_sum_up", _softmax(logits, sums, greatest=greatest.data_ptr()))
    return sums, greatest


def _softmax(logits: Tensor, sums: Tensor, **pointers: int) -> _Softmax:
    return _Softmax(
        logits=logits.data_ptr(), log_sums=sums.data_ptr(), rows=len(logits), width=logits.shape[1],
        is_half=logits.dtype == torch.bfloat16, threads=threads_for(logits.numel()), **pointers,
    )  # fmt: skip


@lru_cache
def _agrees(dtype: torch.dtype) -> bool:
    """Whether the program gives the values and gradients of PyTorch, on made-up logits."""
    drawn = torch.Generator().manual_seed(0)
    logits, towards = 5 * torch.randn(5, 50, generator=drawn), torch.randn(5, generator=drawn)
    tokens = torch.tensor([0, 49, 48, 7, 16])
    return is_same(
        lambda x: _TokenLogprobs.apply(x, tokens),  # type: ignore[no-untyped-call]
        lambda x: torch.log_softmax(x, dim=-1).gather(1, tokens[:, None])[:, 0],
        (logits,),
        towards,
        dtype,
    )
