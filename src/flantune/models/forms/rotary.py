"""Rotary positions in one pass over queries and keys, forward and backward, where transformers needs a dozen.

The attention layers of each architecture in transformers call a function of its module. While a form is in use, that
function is replaced by one with the same results.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from flantune.models.forms.row_operations import plain_rotation, rotate
from flantune.models.trials import FAILURES

if TYPE_CHECKING:
    from torch import nn

NAME = "apply_rotary_pos_emb"
TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class LeanRotation:
    """The replacement of an architecture's function, called with the same arguments.

    Attributes:
        file: The module of the architecture.
        usual: The replaced function, used when no program in use supports the arguments.
        keeps_dtype: Whether ``usual`` returns the dtype of queries and keys, whatever the dtype of the angles.
    """

    file: ModuleType
    usual: Any
    keeps_dtype: bool

    def __call__(self, query: Tensor, key: Tensor, cosines: Tensor, sines: Tensor, *more: Any, **named: Any) -> Any:
        """Rotates queries and keys, [rows, heads, tokens, width], by angles, [rows, tokens, width]."""
        is_rounded = _is_rounded_next(query)
        if not (more or named) and (query.dtype == cosines.dtype or self.keeps_dtype or is_rounded):
            found = rotate(query, key, cosines, sines)
            if found is not None:
                return found
        turned = self.usual(query, key, cosines, sines, *more, **named)
        # So that keys in a cache have one dtype, whichever function rotated them.
        return tuple(each.to(query.dtype) for each in turned) if is_rounded else turned


def _is_rounded_next(query: Tensor) -> bool:
    """Whether attention will round its inputs to the dtype of the queries (autocast)."""
    return torch.is_autocast_enabled("cpu") and query.dtype == torch.get_autocast_dtype("cpu")


def rotations(model: nn.Module) -> list[LeanRotation]:
    """Replacements of the rotary functions that a model's layers call."""
    names = dict.fromkeys(type(module).__module__ for module in model.modules())
    found = (_rotation(sys.modules[name]) for name in names if name in sys.modules)
    return [rotation for rotation in found if rotation is not None]


@contextmanager
def rotated(rotations: Sequence[LeanRotation]) -> Iterator[None]:
    """Within the block, the functions are replaced."""
    try:
        for rotation in rotations:
            setattr(rotation.file, NAME, rotation)
        yield
    finally:
        for rotation in rotations:
            setattr(rotation.file, NAME, rotation.usual)


@cache
def _rotation(file: ModuleType) -> LeanRotation | None:
    """The replacement for an architecture; None where it has no such function or its results differ."""
    usual = getattr(file, NAME, None)
    if not callable(usual):
        return None
    drawn = torch.Generator().manual_seed(0)
    query, key = (torch.randn(1, heads, 3, 64, generator=drawn) for heads in (2, 1))
    # Random, so that architectures that read only half of the angles, or rotate adjacent pairs, give other results.
    cosines, sines = (torch.randn(1, 3, 64, generator=drawn) for _ in range(2))
    expected = [plain_rotation(each, cosines, sines) for each in (query, key)]
    try:
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            found = usual(query, key, cosines, sines)
            rounded = usual(query.bfloat16(), key.bfloat16(), cosines, sines)
            same = [torch.allclose(*pair, rtol=TOLERANCE, atol=TOLERANCE) for pair in zip(found, expected, strict=True)]
    except FAILURES:
        return None
    if not all(same):
        return None
    return LeanRotation(file=file, usual=usual, keeps_dtype=rounded[0].dtype == torch.bfloat16)
