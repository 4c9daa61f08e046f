"""What stands between a layer's products, forward and back, each in one pass over memory: by the program in C++.

In single operations, a gated activation reads or writes a tensor five times forward and nine times back, a norm five
and twelve times. Here each tensor is read or written once, numbers are float32 inside, and less is kept.
"""

from __future__ import annotations

import ctypes
from ctypes import c_double, c_int64, c_void_p
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from flantune.models.attention import door

WIDTHS = 16
"""A norm's width must be a multiple of it."""
GRAIN = 2**15
"""Numbers that are worth a thread."""
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
"""Of the whole difference, relative to the whole."""


class _Gated(ctypes.Structure):
    """As ``row_operations.cpp`` has it."""

    _fields_ = (
        *((name, c_void_p) for name in ("gate", "up", "grad", "out", "grad_gate", "grad_up")),
        *((name, c_int64) for name in ("count", "is_half", "is_gelu", "threads")),
    )


class _Norm(ctypes.Structure):
    """As ``row_operations.cpp`` has it."""

    _fields_ = (
        *((name, c_void_p) for name in ("x", "weight", "grad", "out", "grad_x", "factor", "grad_weight")),
        *((name, c_int64) for name in ("rows", "width", "is_half", "threads")),
        ("eps", c_double),
    )


class _Gate(torch.autograd.Function):
    """act(gate) · up, from which the product of both is not kept."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, is_gelu: bool) -> Tensor:
        ctx.save_for_backward(gate, up)
        ctx.is_gelu = is_gelu
        out = torch.empty_like(gate)
        call("flantune_gate", _gated(gate, up, is_gelu, out=out.data_ptr()))
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        gate, up = ctx.saved_tensors
        grad, for_gate, for_up = grad.contiguous(), torch.empty_like(gate), torch.empty_like(up)
        named = {"grad": grad.data_ptr(), "grad_gate": for_gate.data_ptr(), "grad_up": for_up.data_ptr()}
        call("flantune_gate_back", _gated(gate, up, ctx.is_gelu, **named))
        return for_gate, for_up, None


class _RootMeanSquare(torch.autograd.Function):
    """x / rms(x) · weight; kept is x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        out, factor = torch.empty_like(x), x.new_empty(x.numel() // x.shape[-1], dtype=torch.float32)
        call("flantune_norm", _norm(x, weight, factor, out=out.data_ptr(), eps=eps))
        ctx.save_for_backward(x, weight, factor)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x, weight, factor = ctx.saved_tensors
        grad, grad_x, grad_weight = grad.contiguous(), torch.empty_like(x), None
        named = {"grad": grad.data_ptr(), "grad_x": grad_x.data_ptr()}
        if ctx.needs_input_grad[1]:
            grad_weight = torch.empty_like(weight, dtype=torch.float32)
            named["grad_weight"] = grad_weight.data_ptr()
        call("flantune_norm_back", _norm(x, weight, factor, **named))
        return grad_x, None if grad_weight is None else grad_weight.to(weight.dtype), None


def gate(x: Tensor, up: Tensor, *, is_gelu: bool) -> Tensor | None:
    """silu(x) · up, or gelu(x) · up with GELU's tanh form; None where no program is in use that can."""
    if not _is_for(x, up) or x.shape != up.shape:
        return None
    found: Tensor = _Gate.apply(x.contiguous(), up.contiguous(), is_gelu)  # type: ignore[no-untyped-call]
    return found


def root_mean_square(x: Tensor, weight: Tensor, eps: float) -> Tensor | None:
    """Like x / rms(x) · weight, over the last dimension; None where no program is in use that can."""
    if not _is_for(x, weight) or weight.shape[0] % WIDTHS:
        return None
    found: Tensor = _RootMeanSquare.apply(x.contiguous(), weight, eps)  # type: ignore[no-untyped-call]
    return found


def _is_for(*tensors: Tensor) -> bool:
    dtype = tensors[0].dtype
    return (
        door.rows_in_use(dtype)
        and all(tensor.dtype == dtype and tensor.device.type == "cpu" for tensor in tensors)
        and tensors[0].numel() > 0
        and agrees(dtype)
    )


def call(name: str, problem: ctypes.Structure) -> None:
    """Lets the program do one of its operations."""
    if getattr(door.find_program().compiled, name)(ctypes.byref(problem)):
        raise RuntimeError(f"{name}: the program was not built for this data type")


def _gated(gate: Tensor, up: Tensor, is_gelu: bool, **pointers: int) -> _Gated:
    count = gate.numel()
    return _Gated(
        gate=gate.data_ptr(), up=up.data_ptr(), count=count, is_half=gate.dtype == torch.bfloat16, is_gelu=is_gelu,
        threads=_threads(count), **pointers,
    )  # fmt: skip


def _norm(x: Tensor, weight: Tensor, factor: Tensor, *, eps: float = 0.0, **pointers: int) -> _Norm:
    return _Norm(
        x=x.data_ptr(), weight=weight.data_ptr(), factor=factor.data_ptr(), rows=len(factor), width=x.shape[-1],
        is_half=x.dtype == torch.bfloat16, threads=_threads(x.numel()), eps=eps, **pointers,
    )  # fmt: skip


def _threads(count: int) -> int:
    return max(1, min(torch.get_num_threads(), count // GRAIN))


@lru_cache
def agrees(dtype: torch.dtype) -> bool:
    """Whether the program gives the values and gradients of PyTorch, on made-up numbers."""
    drawn = torch.Generator().manual_seed(0)
    x, up, towards = (3 * torch.randn(5, 48, generator=drawn) for _ in range(3))
    weight = torch.randn(48, generator=drawn)
    silu, gelu = torch.nn.functional.silu, torch.nn.functional.gelu
    cases = (
        (lambda a, b: _Gate.apply(a, b, False), lambda a, b: silu(a) * b, up),  # type: ignore[no-untyped-call]
        (lambda a, b: _Gate.apply(a, b, True), lambda a, b: gelu(a, approximate="tanh") * b, up),  # type: ignore[no-untyped-call]
        (lambda a, b: _RootMeanSquare.apply(a, b, 1e-6), _plain_norm, weight),  # type: ignore[no-untyped-call]
    )
    # Layers that compute their activations again count what is kept: what is kept here is none of theirs.
    with torch.enable_grad(), saved_tensors_hooks(_itself, _itself):
        return all(_agrees(mine, plain, (x, other), towards, dtype) for mine, plain, other in cases)


def _itself(tensor: Tensor) -> Tensor:
    return tensor


def _plain_norm(x: Tensor, weight: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * weight


def _agrees(mine: Any, plain: Any, inputs: tuple[Tensor, Tensor], towards: Tensor, dtype: torch.dtype) -> bool:
    rounded = [tensor.to(dtype) for tensor in inputs]
    found = _values(mine, rounded, towards.to(dtype))
    expected = _values(plain, [tensor.float() for tensor in rounded], towards.to(dtype).float())
    return all(
        float((one.float() - other).norm() / other.norm()) < TOLERANCE[dtype]
        for one, other in zip(found, expected, strict=True)
    )


def _values(function: Any, inputs: list[Tensor], towards: Tensor) -> list[Tensor]:
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    out = function(*leaves)
    return [out.detach(), *torch.autograd.grad(out, leaves, towards)]
