"""Gated activations, norms and rotary positions by the program in C++, each in one pass over memory.

As single PyTorch operations, a gated activation takes five tensor reads and writes forward and nine backward, a norm
five and twelve. Here each tensor is read or written once, arithmetic is float32, and less is kept for the backward
pass.
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
"""The width of a norm must be a multiple of this."""
GRAIN = 2**15
"""Elements per thread; with fewer, another thread does not pay."""
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
"""Largest relative error, ‖difference‖ / ‖expected‖."""


class _Gated(ctypes.Structure):
    """The same structure as in ``row_operations.cpp``."""

    _fields_ = (
        *((name, c_void_p) for name in ("gate", "up", "grad", "out", "grad_gate", "grad_up")),
        *((name, c_int64) for name in ("count", "is_half", "is_gelu", "threads")),
    )


class _Norm(ctypes.Structure):
    """The same structure as in ``row_operations.cpp``."""

    _fields_ = (
        *((name, c_void_p) for name in ("x", "weight", "grad", "out", "grad_x", "factor", "grad_weight")),
        *((name, c_int64) for name in ("rows", "width", "is_half", "is_rounded", "threads")),
        ("eps", c_double),
    )


class _Rotation(ctypes.Structure):
    """The same structure as in ``row_operations.cpp``."""

    _fields_ = (
        *((name, c_void_p) for name in ("query", "key", "cosines", "sines", "query_out", "key_out")),
        *((f"{name}_{step}", c_int64) for name in ("query", "key") for step in ("token", "head")),
        *((name, c_int64) for name in ("tokens", "heads", "key_heads", "width")),
        *((name, c_int64) for name in ("is_half", "has_half_tables", "is_back", "threads")),
    )


class _Gate(torch.autograd.Function):
    """act(gate) · up; keeps gate and up for the backward pass, not the activation."""

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
    """x / rms(x) · weight; keeps x and one factor per row for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        out, factor = _norm_forward(x, weight, eps, dtype=x.dtype)
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


class _Rotate(torch.autograd.Function):
    """Queries and keys, rotated by the angles of their positions; keeps only the angles for the backward pass."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, cosines: Tensor, sines: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(cosines, sines)
        return _turned(query, key, cosines, sines, is_back=False)

    @staticmethod
    def backward(ctx: Any, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, None, None]:
        return *_turned(query, key, *ctx.saved_tensors, is_back=True), None, None


def gate(x: Tensor, up: Tensor, *, is_gelu: bool) -> Tensor | None:
    """silu(x) · up, or gelu(x) · up with the tanh form of GELU; None if no program in use supports it."""
    if not _is_for(x, up) or x.shape != up.shape:
        return None
    found: Tensor = _Gate.apply(x.contiguous(), up.contiguous(), is_gelu)  # type: ignore[no-untyped-call]
    return found


def root_mean_square(x: Tensor, weight: Tensor, eps: float) -> Tensor | None:
    """The norm x / rms(x) · weight, over the last dimension; None if no program in use supports it.

    Under autocast without gradients, the result is already rounded to the dtype of the next product.
    """
    if not _is_for(x, weight) or weight.shape[0] % WIDTHS:
        return None
    if not torch.is_grad_enabled():
        return _norm_forward(x.contiguous(), weight, eps, dtype=_dtype_of_readers(x))[0]
    found: Tensor = _RootMeanSquare.apply(x.contiguous(), weight, eps)  # type: ignore[no-untyped-call]
    return found


def rotate(query: Tensor, key: Tensor, cosines: Tensor, sines: Tensor) -> tuple[Tensor, Tensor] | None:
    """Rotary positions, x · cos + (−x₂, x₁) · sin for heads (x₁, x₂); None if no program in use supports it.

    Args:
        query: [rows, heads, tokens, width].
        key: Likewise, with as many or fewer heads.
        cosines: [rows, tokens, width], in the dtype of the query, or float32.
        sines: Likewise.

    Returns:
        Both in their dtype, in the shape of the arguments; in memory, tokens come before heads.
    """
    shape = (query.shape[0], *query.shape[2:])
    is_known = query.ndim == 4 and shape == (key.shape[0], *key.shape[2:]) == cosines.shape == sines.shape
    if not is_known or shape[-1] % (2 * WIDTHS) or not _is_for(query, key):
        return None
    if cosines.dtype != sines.dtype or cosines.dtype not in (query.dtype, torch.float32) or cosines.requires_grad:
        return None
    found: tuple[Tensor, Tensor] = _Rotate.apply(query, key, cosines, sines)  # type: ignore[no-untyped-call]
    return found


def plain_rotation(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotates queries or keys as ``rotate`` does, in PyTorch operations."""
    low, high = x.chunk(2, dim=-1)
    return x * cosines[:, None] + torch.cat([-high, low], dim=-1) * sines[:, None]


def _dtype_of_readers(x: Tensor) -> torch.dtype:
    rounded = torch.get_autocast_dtype("cpu")
    is_known = torch.is_autocast_enabled("cpu") and rounded == torch.bfloat16 and door.rows_in_use(rounded)
    return rounded if is_known else x.dtype


def _is_for(*tensors: Tensor) -> bool:
    dtype = tensors[0].dtype
    return (
        door.rows_in_use(dtype)
        and all(tensor.dtype == dtype and tensor.device.type == "cpu" for tensor in tensors)
        and tensors[0].numel() > 0
        and agrees(dtype)
    )


def call(name: str, problem: ctypes.Structure) -> None:
    """Calls one of the program's operations."""
    if getattr(door.find_program().compiled, name)(ctypes.byref(problem)):
        raise RuntimeError(f"{name}: the program was not built for this data type")


def _gated(gate: Tensor, up: Tensor, is_gelu: bool, **pointers: int) -> _Gated:
    count = gate.numel()
    return _Gated(
        gate=gate.data_ptr(), up=up.data_ptr(), count=count, is_half=gate.dtype == torch.bfloat16, is_gelu=is_gelu,
        threads=threads_for(count), **pointers,
    )  # fmt: skip


def _norm(x: Tensor, weight: Tensor, factor: Tensor, **more: Any) -> _Norm:
    return _Norm(
        x=x.data_ptr(), weight=weight.data_ptr(), factor=factor.data_ptr(), rows=len(factor), width=x.shape[-1],
        is_half=x.dtype == torch.bfloat16, threads=threads_for(x.numel()), **more,
    )  # fmt: skip


def _norm_forward(x: Tensor, weight: Tensor, eps: float, *, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The norm, and the factor 1 / rms of each row, in float32."""
    out, factor = torch.empty_like(x, dtype=dtype), x.new_empty(x.numel() // x.shape[-1], dtype=torch.float32)
    is_rounded = dtype != x.dtype
    call("flantune_norm", _norm(x, weight, factor, out=out.data_ptr(), eps=eps, is_rounded=is_rounded))
    return out, factor


def _turned(query: Tensor, key: Tensor, cosines: Tensor, sines: Tensor, *, is_back: bool) -> tuple[Tensor, Tensor]:
    rows, _, tokens, width = query.shape
    # No copy if tokens come before heads in memory, as in the output of a projection.
    lines = [_with_width_inside(x.transpose(1, 2).flatten(0, 1)) for x in (query, key)]
    tables = cosines.contiguous(), sines.contiguous()
    outs = [torch.empty_like(line, memory_format=torch.contiguous_format) for line in lines]
    problem = _Rotation(
        *(tensor.data_ptr() for tensor in (*lines, *tables, *outs)),
        *(line.stride(place) for line in lines for place in (0, 1)),
        tokens=rows * tokens, heads=query.shape[1], key_heads=key.shape[1], width=width,
        is_half=query.dtype == torch.bfloat16, has_half_tables=cosines.dtype == torch.bfloat16, is_back=is_back,
        threads=threads_for(query.numel()),
    )  # fmt: skip
    call("flantune_rotate", problem)
    turned_query, turned_key = (out.view(rows, tokens, -1, width).transpose(1, 2) for out in outs)
    return turned_query, turned_key


def _with_width_inside(line: Tensor) -> Tensor:
    return line if line.stride(-1) == 1 else line.contiguous()


def threads_for(count: int) -> int:
    """Number of threads that so many numbers are worth."""
    return max(1, min(torch.get_num_threads(), count // GRAIN))


@lru_cache
def agrees(dtype: torch.dtype) -> bool:
    """Whether values and gradients of the program are those of PyTorch, on random numbers, to within rounding."""
    drawn = torch.Generator().manual_seed(0)
    x, up, towards = (3 * torch.randn(5, 48, generator=drawn) for _ in range(3))
    weight = torch.randn(48, generator=drawn)
    query, key, wide = (torch.randn(1, heads, 5, 64, generator=drawn) for heads in (2, 1, 3))
    # Exact in either dtype.
    angles = [torch.randn(1, 5, 64, generator=drawn).bfloat16().float() for _ in range(2)]
    silu, gelu = torch.nn.functional.silu, torch.nn.functional.gelu
    cases: tuple[tuple[Any, Any, tuple[Tensor, Tensor], Tensor], ...] = (
        (lambda a, b: _Gate.apply(a, b, False), lambda a, b: silu(a) * b, (x, up), towards),  # type: ignore[no-untyped-call]
        (lambda a, b: _Gate.apply(a, b, True), lambda a, b: gelu(a, approximate="tanh") * b, (x, up), towards),  # type: ignore[no-untyped-call]
        (lambda a, b: _RootMeanSquare.apply(a, b, 1e-6), _plain_norm, (x, weight), towards),  # type: ignore[no-untyped-call]
        (
            lambda a, b: torch.cat(_Rotate.apply(a, b, *(angle.to(a.dtype) for angle in angles)), dim=1),  # type: ignore[no-untyped-call]
            lambda a, b: torch.cat([plain_rotation(each, *angles) for each in (a, b)], dim=1),
            (query, key),
            wide,
        ),
    )
    return all(is_same(*case, dtype) for case in cases)


def _plain_norm(x: Tensor, weight: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * weight


def is_same(mine: Any, plain: Any, inputs: tuple[Tensor, ...], towards: Tensor, dtype: torch.dtype) -> bool:
    """Whether two functions of tensors have the same values and gradients, up to the rounding of a dtype.

    Args:
        mine: Computes in the dtype.
        plain: Computes in float32.
        inputs: What both are given, float32.
        towards: Gradient of their result, float32.
        dtype: See above.
    """
    rounded = [tensor.to(dtype) for tensor in inputs]
    # Activation checkpointing counts saved tensors with hooks; the hooks here keep the trial out of its count.
    with torch.enable_grad(), torch.autocast("cpu", enabled=False), saved_tensors_hooks(_itself, _itself):
        found = _values(mine, rounded, towards.to(dtype))
        expected = _values(plain, [tensor.float() for tensor in rounded], towards.to(dtype).float())
    return all(
        float((one.float() - other).norm() / other.norm()) < TOLERANCE[dtype]
        for one, other in zip(found, expected, strict=True)
    )


def _itself(tensor: Tensor) -> Tensor:
    return tensor


def _values(function: Any, inputs: list[Tensor], towards: Tensor) -> list[Tensor]:
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    out = function(*leaves)
    return [out.detach(), *torch.autograd.grad(out, leaves, towards.to(out.dtype))]
