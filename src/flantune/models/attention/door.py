"""The door for programs that compute attention within segments faster than PyTorch's products.

Behind it are one in C++ for the CPU and PyTorch's own kernel for GPUs. Without the files of the first (``native*`` and
``segment_attention.cpp``) and its line in ``PROGRAMS`` everything works as on a machine without a compiler.
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
"""Where segments of queries and of keys end, on the device of the lines and with what stands behind the last segment
as one more, int32, [segments + 2]; and how long a segment of either is at most."""
Attend = Callable[
    [Tensor, Tensor, Tensor, Tensor | None, Tensor, Tensor, Tensor | None, "AttentionRule", Limits | None], Tensor
]
"""Query, key, value, bias, ends of the queries, ends of the keys, tokens that see each other, rule and limits, as
``interface.segment_attention`` has them."""
Read = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None, "AttentionRule"], tuple[Tensor, Tensor]]
"""Query, key, value, ends of the queries, ends of the keys, tokens that see each other, and rule, without gradients.
Gives attention and the log-sum-exp of each query's scores to the base of 2, [heads, tokens], which means nothing where
a query sees no key."""

PROGRAMS = {
    "cpu": "flantune.models.attention.native",
    "cuda": "flantune.models.attention.varlen",
}
"""By kind of device, a module with a ``find_program``; imported when a program is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program, or why there is none.

    Attributes:
        attend: Computes attention, and its gradient.
        read: Computes attention, and what it takes to join it with attention to other keys.
        dtypes: What it computes with on this processor; none where there is no program.
        width_step: Widths of a head must be a multiple of it.
        widest: The largest of these widths; 0: any.
        is_plain: It knows neither bias nor tokens that see each other, and needs the limits.
        why_not: Why there is none, or not for every dtype; empty otherwise.
        compiled: The same program's operations on rows (``forms.row_operations``); None where it has none.
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
    """The program that is there for a kind of device, tried before it is used."""
    if device not in PROGRAMS:
        return Program(why_not="this flantune has none")
    return cast("Program", import_module(PROGRAMS[device]).find_program())


def why_not_program(dtype: torch.dtype, device: str = "cpu") -> str:
    """Why attention in a dtype is not computed by a program; empty when it is."""
    program = find_program(device)
    return "" if dtype in program.dtypes else program.why_not or f"it does not compute in {dtype}"


# Plain values, which is all that PyTorch's compiler follows.
_attend: Attend | None = None
_device = ""
_dtypes: tuple[torch.dtype, ...] = ()
_width_step = 1
_widest = 0
_is_plain = False
_row_dtypes: tuple[torch.dtype, ...] = ()


@contextmanager
def in_use(device: str = "cpu") -> Iterator[None]:
    """Within the block, attention on this kind of device is computed by the program where there is one that can."""
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
    """Within the block, operations on rows are the program's; attention is whose it was."""
    global _row_dtypes
    before, program = _row_dtypes, find_program(device)
    _row_dtypes = () if program.compiled is None else program.dtypes
    try:
        yield
    finally:
        _row_dtypes = before


def rows_in_use(dtype: torch.dtype) -> bool:
    """Whether a program is in use that has operations on rows in a dtype."""
    return dtype in _row_dtypes


def is_for(query: Tensor, key: Tensor, value: Tensor, rule: AttentionRule, *, is_plain: bool = True) -> bool:
    """Whether a program is in use and computes such attention.

    Args:
        query: See ``attend``.
        key: Likewise.
        value: Likewise.
        rule: Who sees whom.
        is_plain: There is no bias, nobody sees later tokens under a causal rule, and the limits are known.
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
    assert _attend is not None  # ``is_for`` was asked.
    return _attend(query, key, value, bias, cu_query, cu_key, mutual, rule, limits)
