"""The interface to programs that compute attention within segments faster than PyTorch's matrix products.

There is one in C++ for CPUs, and PyTorch's variable-length kernel for GPUs. If the files of the first (``native*`` and
``segment_attention.cpp``) and its line in ``PROGRAMS`` are removed, everything works as without a compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

if TYPE_CHECKING:
    from flantune.models.attention.rules import AttentionRule

Limits = tuple[Tensor, Tensor, int, int]
"""Ends of the segments of queries and of keys, each with the padding as one more segment, int32, [segments + 2], on the
device of the tokens; then upper bounds of the length of a segment of queries and of keys."""
Attend = Callable[
    [Tensor, Tensor, Tensor, Tensor | None, Tensor, Tensor, Tensor | None, "AttentionRule", Limits | None], Tensor
]
"""Query, key, value, bias, ends of the queries, ends of the keys, mutual tokens, rule and limits; see
``interface.segment_attention``."""
Mask = tuple[Tensor, Tensor]
"""What is added to the scores of the last queries of some segments: rows of float32 in one tensor, one per query, each
with a number per key of its segment and padded to a multiple of ``MASK_STEP``; then, for each segment, where its rows
begin and its first query with a row (the number of queries, if none has one), int64, [segments, 2]."""
MASK_STEP = 16
"""Rows of a ``Mask`` are padded to a multiple of this many numbers."""
Read = Callable[
    [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None, "AttentionRule", Mask | None], tuple[Tensor, Tensor]
]
"""Query, key, value, ends of the queries, ends of the keys, mutual tokens, rule and mask. Without gradients. Returns
attention and the base-2 log-sum-exp of each query's scores, [heads, tokens]; the latter is undefined for a query
without keys."""

PROGRAMS = {
    "cpu": "flantune.models.attention.native",
    "cuda": "flantune.models.attention.varlen",
}
"""Kind of device → module with a ``find_program``, imported when needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program, or why there is none.

    Attributes:
        attend: Computes attention, with gradients.
        read: Computes attention and the log-sum-exp that is needed to combine it with attention to other keys.
        dtypes: The dtypes it supports on this processor; empty when there is no program.
        width_step: The width of a head must be a multiple of this.
        widest: The largest width of a head; 0: no limit.
        is_plain: It supports neither a bias nor mutual tokens, and needs the limits.
        why_not: Why there is no program, or none for some dtype; empty otherwise.
        compiled: The library with operations on rows (``forms.row_operations``); None where there is none.
    """

    attend: Attend | None = None
    read: Read | None = None
    dtypes: tuple[torch.dtype, ...] = ()
    width_step: int = 1
    widest: int = 0
    is_plain: bool = False
    why_not: str = ""
    compiled: Any = None


def find_program(device: str = "cpu") -> Program:
    """The program for a kind of device, checked against PyTorch before it is returned."""
    if device not in PROGRAMS:
        return Program(why_not="this flantune has none")
    return cast("Program", import_module(PROGRAMS[device]).find_program())


def why_not_program(dtype: torch.dtype, device: str = "cpu") -> str:
    """Why attention in a dtype is not computed by a program; empty when it is."""
    program = find_program(device)
    return "" if dtype in program.dtypes else program.why_not or f"it does not compute in {dtype}"


# The program in use. Plain module variables, since PyTorch's compiler traces nothing else here.
_attend: Attend | None = None
_device = ""
_dtypes: tuple[torch.dtype, ...] = ()
_width_step = 1
_widest = 0
_is_plain = False
_row_dtypes: tuple[torch.dtype, ...] = ()


@contextmanager
def in_use(device: str = "cpu") -> Iterator[None]:
    """Within the block, attention on this kind of device is computed by its program where that supports it."""
    global _attend, _device, _dtypes, _width_step, _widest, _is_plain
    before, program = (_attend, _device, _dtypes, _width_step, _widest, _is_plain), find_program(device)
    _attend, _device, _dtypes = program.attend, device, program.dtypes
    _width_step, _widest, _is_plain = program.width_step, program.widest, program.is_plain
    try:
        with only_rows_in_use(device):
            yield
    finally:
        _attend, _device, _dtypes, _width_step, _widest, _is_plain = before


@contextmanager
def only_rows_in_use(device: str = "cpu") -> Iterator[None]:
    """Within the block, operations on rows are computed by the program; attention is computed as before."""
    global _row_dtypes
    before, program = _row_dtypes, find_program(device)
    _row_dtypes = () if program.compiled is None else program.dtypes
    try:
        yield
    finally:
        _row_dtypes = before


def rows_in_use(dtype: torch.dtype) -> bool:
    """Whether the program in use has operations on rows in a dtype."""
    return dtype in _row_dtypes


def is_for(query: Tensor, key: Tensor, value: Tensor, rule: AttentionRule, *, is_plain: bool = True) -> bool:
    """Whether a program is in use and supports this attention.

    Args:
        query: See ``attend``.
        key: Likewise.
        value: Likewise.
        rule: Which tokens of a segment attend to which.
        is_plain: There is no bias, no mutual token, and the limits are known.
    """
    return (
        query.dtype in _dtypes
        and query.dtype == key.dtype == value.dtype
        and query.device.type == _device
        and query.shape[2] == key.shape[2] == value.shape[2]
        and query.shape[2] % _width_step == 0
        and (not _widest or query.shape[2] <= _widest)
        and (is_plain or not _is_plain)
        and not rule.dropout
    )


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    cu_query: Tensor,
    cu_key: Tensor,
    mutual: Tensor | None,
    rule: AttentionRule,
    limits: Limits | None = None,
) -> Tensor:
    """Attention by the program in use; see ``interface.segment_attention``."""
    assert _attend is not None  # As ``is_for`` made sure.
    return _attend(query, key, value, bias, cu_query, cu_key, mutual, rule, limits)
