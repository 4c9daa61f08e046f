"""Attention within segments by a program in C++ for CPUs, in a third of the time; it computes in float32 internally.

It replaces the matrix products of ``segments``. Both agree to within rounding, which is checked on made-up segments
before the program is used.
"""

from __future__ import annotations

import ctypes
import warnings
from ctypes import c_double, c_int64, c_void_p
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, library

from flantune.models.attention.door import Mask, Program
from flantune.models.attention.native_build import BuildError, load_library
from flantune.models.attention.rules import AttentionRule
from flantune.models.attention.segment_plan import plan_of
from flantune.models.attention.segments import backward_in_chunks, forward_in_chunks

WIDTHS = 16
"""The width of a head must be a multiple of this."""
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
"""Largest relative error, ‖difference‖ / ‖expected‖; the rounding of bfloat16 alone is 0.2%."""
KIND_BITS = {torch.float32: 1, torch.bfloat16: 2}


class Problem(ctypes.Structure):
    """The same structure as in ``segment_attention.cpp``."""

    _fields_ = (
        *((name, c_void_p) for name in ("query", "key", "value")),
        *((f"{name}_{step}", c_int64) for name in ("query", "key", "value") for step in ("token", "head")),
        *((name, c_void_p) for name in ("query_ends", "key_ends", "mutual")),
        *((name, c_int64) for name in ("segments", "tokens", "heads", "key_heads", "width")),
        *((name, c_int64) for name in ("is_causal", "window", "is_half", "threads")),
        ("scale", c_double),
        ("bias", c_void_p),
        ("reach", c_int64),
        *((name, c_void_p) for name in ("mask", "mask_from")),
        *((name, c_void_p) for name in ("out", "logs", "grad")),
        *((name, c_void_p) for name in ("grad_query", "grad_key", "grad_value", "grad_bias")),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """The program, if there is one.

    Attributes:
        program: The loaded library; None when there is none.
        dtypes: The dtypes it supports on this processor.
        why_not: Why there is no program, or none for some dtype; empty otherwise.
    """

    program: ctypes.CDLL | None
    dtypes: tuple[torch.dtype, ...] = ()
    why_not: str = ""


@lru_cache(maxsize=1)
def find_native() -> Native:
    """Builds, loads and checks the program, once per process; on failure, ``why_not`` tells the reason."""
    try:
        program = load_library()
    except BuildError as error:
        return Native(program=None, why_not=str(error))
    kinds = program.flantune_attention_kinds()
    dtypes = tuple(dtype for dtype, bit in KIND_BITS.items() if kinds & bit)
    with torch.autocast("cpu", enabled=False):
        wrong = [str(dtype) for dtype in dtypes if not agrees(program, dtype)]
    if wrong:
        reason = f"its results in {' and '.join(wrong)} differ from PyTorch's"
        warnings.warn(f"flantune's attention in C++ is not used: {reason}", stacklevel=2)
        return Native(program=None, why_not=reason)
    missing = "" if torch.bfloat16 in dtypes else "the processor has no AVX-512 with bfloat16"
    return Native(program=program, dtypes=dtypes, why_not=missing)


def find_program() -> Program:
    """The program as a ``door.Program``."""
    native = find_native()
    return Program(
        attend=native_attention,
        read=native_reading,
        dtypes=native.dtypes,
        width_step=WIDTHS,
        why_not=native.why_not,
        compiled=native.program,
    )


def native_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    cu_query: Tensor,
    cu_key: Tensor,
    mutual: Tensor | None,
    rule: AttentionRule,
    _limits: object = None,
) -> Tensor:
    """See ``interface.segment_attention``."""
    found: Tensor = _attend(
        query, key, value, bias, cu_query, cu_key, mutual, rule.scale, rule.is_causal, rule.window
    )[0]  # fmt: skip
    return found


def native_reading(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_query: Tensor,
    cu_key: Tensor,
    mutual: Tensor | None,
    rule: AttentionRule,
    mask: Mask | None = None,
) -> tuple[Tensor, Tensor]:
    """See ``door.Read``."""
    return forward_natively(_program(), Inputs.of(query, key, value, None, cu_query, cu_key, mutual), rule, mask=mask)


@library.custom_op("flantune::native_attention", mutates_args=())
def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    cu_query: Tensor,
    cu_key: Tensor,
    mutual: Tensor | None,
    scale: float,
    is_causal: bool,
    window: int,
) -> tuple[Tensor, Tensor]:
    inputs = Inputs.of(query, key, value, bias, cu_query, cu_key, mutual)
    return forward_natively(_program(), inputs, AttentionRule(scale=scale, is_causal=is_causal, window=window))


@library.custom_op("flantune::native_attention_backward", mutates_args=())
def _attend_backward(
    grad: Tensor,
    out: Tensor,
    logs: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    cu_query: Tensor,
    cu_key: Tensor,
    mutual: Tensor | None,
    scale: float,
    is_causal: bool,
    window: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    inputs = Inputs.of(query, key, value, bias, cu_query, cu_key, mutual)
    rule = AttentionRule(scale=scale, is_causal=is_causal, window=window)
    lines, table = backward_natively(_program(), inputs, rule, grad=grad, out=out, logs=logs)
    return lines[0], lines[1], lines[2], _nothing(query) if bias is None or table is None else table.to(bias.dtype)


@_attend.register_fake
def _(query: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    logs = query.new_empty((query.shape[1], query.shape[0]), dtype=torch.float32)
    return torch.empty_like(query, memory_format=torch.contiguous_format), logs


@_attend_backward.register_fake
def _(
    _grad: Tensor,
    _out: Tensor,
    _logs: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    *_: object,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    lines = [torch.empty_like(line, memory_format=torch.contiguous_format) for line in (query, key, value)]
    return lines[0], lines[1], lines[2], _nothing(query) if bias is None else _blank_like(bias)


def _save_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*output, *inputs[:7])
    ctx.rule = inputs[7:]
    # Otherwise PyTorch would allocate a gradient of zeros for the log-sum-exp.
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 10
    saved = ctx.saved_tensors
    query, key, value, bias = _attend_backward(grad.contiguous(), *saved, *ctx.rule)
    return query, key, value, None if saved[5] is None else bias, *[None] * 6


_attend.register_autograd(_backward, setup_context=_save_for_backward)
_attend.register_autocast("cpu", torch.bfloat16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The inputs of attention in the form the program reads: last dimension contiguous, bias in float32.

    Attributes:
        query: [tokens, heads, width].
        key: [tokens, heads or a divisor of them, width].
        value: Like ``key``.
        bias: By head and distance, [heads, 2·reach + 1].
        cu_query: Start of each segment's queries, and the end of the last, int32, [segments + 1].
        cu_key: Likewise for keys.
        mutual: How many tokens at the start of each segment attend to each other, int32, [segments]; None: none do.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    bias: Tensor | None
    cu_query: Tensor
    cu_key: Tensor
    mutual: Tensor | None = None

    @classmethod
    def of(
        cls,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        bias: Tensor | None,
        cu_query: Tensor,
        cu_key: Tensor,
        mutual: Tensor | None = None,
    ) -> Inputs:
        """Copies the tensors that are not in that form.

        Raises:
            ValueError: A segment has larger distances than the bias has entries for.
        """
        longest = max(int(np.diff(ends.numpy()).max(initial=0)) for ends in (cu_query, cu_key))
        if bias is not None and longest > bias.shape[1] // 2 + 1:
            raise ValueError(f"a segment has {longest} tokens and the bias reaches {bias.shape[1] // 2}")
        lines = [line if line.stride(2) == 1 else line.contiguous() for line in (query, key, value)]
        return cls(
            query=lines[0],
            key=lines[1],
            value=lines[2],
            bias=None if bias is None else bias.float().contiguous(),
            cu_query=cu_query.contiguous(),
            cu_key=cu_key.contiguous(),
            mutual=None if mutual is None else mutual.contiguous(),
        )

    def problem(self, rule: AttentionRule) -> Problem:
        """The structure for the program, without the pointers to results."""
        lines = self.query, self.key, self.value
        return Problem(
            *(line.data_ptr() for line in lines),
            *(line.stride(place) for line in lines for place in (0, 1)),
            *(ends.data_ptr() for ends in (self.cu_query, self.cu_key)),
            mutual=None if self.mutual is None else self.mutual.data_ptr(),
            segments=len(self.cu_query) - 1,
            tokens=len(self.query),
            heads=self.query.shape[1],
            key_heads=self.key.shape[1],
            width=self.query.shape[2],
            is_causal=rule.is_causal,
            # A window as long as the line has no effect; without one, the program is faster.
            window=rule.window if rule.is_causal and rule.window < len(self.query) else 0,
            is_half=self.query.dtype == torch.bfloat16,
            threads=torch.get_num_threads(),
            scale=rule.scale,
            bias=None if self.bias is None else self.bias.data_ptr(),
            reach=0 if self.bias is None else self.bias.shape[1] // 2,
        )


def forward_natively(
    program: ctypes.CDLL, inputs: Inputs, rule: AttentionRule, *, mask: Mask | None = None
) -> tuple[Tensor, Tensor]:
    """Attention, [tokens, heads, width], and the base-2 log-sum-exp of each query's scores, [heads, tokens].

    Raises:
        MemoryError: There is not enough memory.
    """
    query, problem = inputs.query, inputs.problem(rule)
    out, logs = _line(query, inputs.cu_query), query.new_empty((query.shape[1], len(query)), dtype=torch.float32)
    problem.out, problem.logs = out.data_ptr(), logs.data_ptr()
    if mask is not None:
        problem.mask, problem.mask_from = (part.data_ptr() for part in mask)
    _call(program.flantune_attention_forward, problem)
    return out, logs


def backward_natively(
    program: ctypes.CDLL, inputs: Inputs, rule: AttentionRule, *, grad: Tensor, out: Tensor, logs: Tensor
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor | None]:
    """Gradients of query, key and value, and of the bias in float32. ``grad`` must be contiguous.

    Raises:
        MemoryError: There is not enough memory.
    """
    problem = inputs.problem(rule)
    lines = (
        _line(inputs.query, inputs.cu_query),
        _line(inputs.key, inputs.cu_key),
        _line(inputs.value, inputs.cu_key),
    )
    table = None if inputs.bias is None else torch.empty_like(inputs.bias)
    problem.out, problem.logs, problem.grad = out.data_ptr(), logs.data_ptr(), grad.data_ptr()
    problem.grad_query, problem.grad_key, problem.grad_value = (line.data_ptr() for line in lines)
    if table is not None:
        problem.grad_bias = table.data_ptr()
    _call(program.flantune_attention_backward, problem)
    return lines, table


def _program() -> ctypes.CDLL:
    program = find_native().program
    if program is None:
        raise RuntimeError(f"there is no attention in C++: {find_native().why_not}")
    return program


def _call(function: Any, problem: Problem) -> None:
    code = function(ctypes.byref(problem))
    if code == 1:
        raise MemoryError("attention within segments: not enough memory")
    if code:
        raise RuntimeError("attention within segments: the program was not built for this data type")


def _line(like: Tensor, ends: Tensor) -> Tensor:
    """Memory for a line; zeros if some tokens belong to no segment, since these are not written."""
    is_whole = int(ends[0]) == 0 and int(ends[-1]) == len(like)
    make = torch.empty_like if is_whole else torch.zeros_like
    return make(like, memory_format=torch.contiguous_format)


def _blank_like(bias: Tensor) -> Tensor:
    return torch.empty_like(bias, memory_format=torch.contiguous_format)


def _nothing(like: Tensor) -> Tensor:
    return like.new_empty(0)


def agrees(program: ctypes.CDLL, dtype: torch.dtype) -> bool:
    """Whether the program gives the values and gradients of ``segments`` in float32, on made-up segments."""
    drawn = torch.Generator().manual_seed(0)
    read, written = (torch.tensor(ends, dtype=torch.int32) for ends in ([0, 150, 183, 184, 184], [0, 40, 41, 107, 115]))
    causal, both_ways = AttentionRule(scale=0.2, is_causal=True), AttentionRule(scale=0.3, is_causal=False)
    narrow = AttentionRule(scale=0.2, is_causal=True, window=20)
    table = torch.randn(4, 2 * 192 + 1, generator=drawn)
    # Numbers of mutual tokens: more than a window (20), all of a segment, none.
    inputs = torch.tensor([97, 33, 0, 0], dtype=torch.int32)
    cases = (
        (read, read, causal, 2, None, None),
        (read, read, narrow, 4, table, None),
        (written, read, both_ways, 4, table, None),
        (read, read, causal, 2, None, inputs),
        (read, read, narrow, 4, table, inputs),
    )
    return all(_agrees(program, dtype, *case, drawn=drawn) for case in cases)


def _agrees(
    program: ctypes.CDLL,
    dtype: torch.dtype,
    cu_query: Tensor,
    cu_key: Tensor,
    rule: AttentionRule,
    key_heads: int,
    bias: Tensor | None,
    mutual: Tensor | None,
    *,
    drawn: torch.Generator,
) -> bool:
    read, written = int(cu_query[-1]), int(cu_key[-1])
    shapes = ((read, 4), (written, key_heads), (written, key_heads), (read, 4))
    query, key, value, grad = (torch.randn(*shape, 32, generator=drawn).to(dtype) for shape in shapes)
    inputs = Inputs.of(query, key, value, bias, cu_query, cu_key, mutual)
    out, logs = forward_natively(program, inputs, rule)
    lines, table = backward_natively(program, inputs, rule, grad=grad, out=out, logs=logs)
    exact, plan = (query.float(), key.float(), value.float(), bias), plan_of(cu_query, cu_key, 4, mutual)
    expected = forward_in_chunks(*exact, plan, rule)
    wanted = backward_in_chunks(grad.float(), *exact, plan, rule)
    pairs = zip((out, *lines, table), (expected, *wanted), strict=True)
    return all(
        float((one.float() - other).norm() / other.norm()) < TOLERANCE[dtype]
        for one, other in pairs
        if one is not None and other is not None
    )
