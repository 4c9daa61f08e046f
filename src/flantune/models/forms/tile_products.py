"""The gradient of a weight in a layout that is fast on processors with AMX.

There the product gᵀx, which reads both matrices by column, is far slower than the forward product; a transposed copy of
x speeds it up. On other processors the copy costs more than it saves.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from flantune.models.forms.compiled import blocks_of
from flantune.models.forms.exchange import StandIn

if TYPE_CHECKING:
    from collections.abc import Callable


class _TurnedProduct(torch.autograd.Function):
    """x · Wᵀ + bias, whose weight gradient is computed from a contiguous xᵀ."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.nn.functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        flat, read = (tensor.reshape(-1, tensor.shape[-1]) for tensor in (grad, x))
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        return (
            (flat @ weight).view_as(x) if wants_x else None,
            torch.nn.functional.linear(flat.T, read.T.contiguous()) if wants_weight else None,
            flat.sum(dim=0, dtype=torch.float32).to(grad.dtype) if wants_bias else None,
        )


class TileLinear(StandIn):
    """A trained linear layer.

    Args:
        layer: The layer that it replaces; its weights are read at each call.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.take_place_of(layer)

    def forward(self, x: Tensor) -> Tensor:
        """[…, inputs] → […, outputs]."""
        found: Tensor = _TurnedProduct.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return found


def tile_form(model: nn.Module) -> Callable[[nn.Module], TileLinear | None]:
    """Makes a function from modules of this model to this form; None except for trained linear layers of its blocks."""
    inner = {id(module) for block in blocks_of(model) for module in block.modules()}

    def form(module: nn.Module) -> TileLinear | None:
        if type(module) is not nn.Linear or id(module) not in inner or not module.weight.requires_grad:
            return None
        return TileLinear(module)

    return form


@cache
def has_tiles() -> bool:
    """Whether the processor multiplies matrices of bfloat16 in tiles (AMX)."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(line.startswith("flags") and "amx_bf16" in line.split() for line in text.splitlines())
