"""The gradient of a weight in the layout that a processor with AMX is fast in.

There the product gᵀx, which reads both of its matrices across their rows, is far slower than the product forward, and
less so where x is laid out the other way round first. On other processors the copy costs more than it brings.
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
    """x · Wᵀ + bias, whose weight gradient is computed from xᵀ in one piece."""

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
    """A linear layer that is trained.

    Args:
        layer: The layer whose place it takes and whose weights it uses, as they are at each call.
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
    """Gives the other form of a linear layer of this model; None where it is frozen, or not in one of the layers."""
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
