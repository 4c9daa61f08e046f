"""The door for a program that computes attention within segments faster than PyTorch's products.

Behind it is one in C++. Without its files (``native*`` and ``segment_attention.cpp``) and its line in ``PROGRAMS``
everything works as on a machine without a compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

if TYPE_CHECKING:
    from flantune.models.attention.rules import AttentionRule

Attend = Callable[[Tensor, Tensor, Tensor, Tensor | None, Tensor, Tensor, Tensor | None, "AttentionRule"], Tensor]
"""Query, key, value, bias, ends of the queries, ends of the keys, tokens that see each other, and rule, as
``interface.segment_attention`` has them."""
Read = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None, "AttentionRule"], tuple[Tensor, Tensor]]
"""Query, key, value, ends of the queries, ends of the keys, tokens that see each other, and rule, without gradients.
Gives attention and the log-sum-exp of each query's scores to the base of 2, [heads, tokens], which means nothing where
a query sees no key."""

PROGRAMS = (
    "flantune.models.attention.native",
)  # fmt: skip
"""Modules with a ``find_program``, of which the first is asked; imported when a program is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program, or why there is none.

    Attributes:
        attend: Computes attention, and its gradient.
        read: Computes attention, and what it takes to join it with attention to other keys.
        dtypes: What it computes with on this processor; none where there is no program.
        width_step: Widths of a head must be a multiple of it.
        why_not: Why there is none, or not for every dtype; empty otherwise.
    """

    attend: Attend | None = None
    read: Read | None = None
    dtypes: tuple[torch.dtype, ...] = ()
    width_step: int = 1
    why_not: str = ""


def find_program() -> Program:
    """The program that is there, tried before it is used."""
    for name in PROGRAMS:
        return cast("Program", import_module(name).find_program())
    return Program(why_not="this flantune has none")


def why_not_program(dtype: torch.dtype) -> str:
    """Why attention in a dtype is not computed by a program; empty when it is."""
    program = find_program()
    return "" if dtype in program.dtypes else program.why_not or f"it does not compute in {dtype}"


# Plain values, which is all that PyTorch's compiler follows.
_attend: Attend | None = None
_dtypes: tuple[torch.dtype, ...] = ()
_width_step = 1


@contextmanager
def in_use() -> Iterator[None]:
    """Within the block, attention is computed by the program where there is one that can."""
    global _attend, _dtypes, _width_step
    before, program = (_attend, _dtypes, _width_step), find_program()
    _attend, _dtypes, _width_step = program.attend, program.dtypes, program.width_step
    try:
        yield
    finally:
        _attend, _dtypes, _width_step = before


def is_for(query: Tensor, key: Tensor, value: Tensor, rule: AttentionRule) -> bool:
    """Whether a program is in use and computes such attention."""
    return (
        query.dtype in _dtypes
        and query.dtype == key.dtype == value.dtype
        and query.device.type == "cpu"
        and query.shape[2] == key.shape[2] == value.shape[2]
        and query.shape[2] % _width_step == 0
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
) -> Tensor:
    """Attention by the program in use; see ``interface.segment_attention``."""
    assert _attend is not None  # ``is_for`` was asked.
    return _attend(query, key, value, bias, cu_query, cu_key, mutual, rule)
