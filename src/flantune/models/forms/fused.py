"""Faster forms of norms, activations and the loss, with the same results to within rounding.

transformers writes a norm or an activation as several operations, each of which reads and writes the whole tensor;
these memory passes cost as much as the arithmetic. The forms here need half as many passes on a CPU and a single one on
a GPU, where PyTorch has the whole norm as one operation.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from flantune.models.forms.exchange import StandIn
from flantune.models.forms.row_operations import root_mean_square
from flantune.models.trials import FAILURES

TOLERANCE = 1e-5


class _RootMeanSquare(torch.autograd.Function):
    """x / rms(x) · weight; keeps two tensors for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        factor = torch.rsqrt(norm.square() / x.shape[-1] + eps).to(x.dtype)
        scaled = x * factor
        ctx.save_for_backward(scaled, factor, weight)
        return scaled * weight

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None]:
        scaled, factor, weight = ctx.saved_tensors
        product = (grad * scaled).flatten(0, -2)
        grad_weight = None
        if ctx.needs_input_grad[1]:
            grad_weight = product.sum(dim=0, dtype=torch.float32).to(weight.dtype)
        mean = torch.mv(product, weight / weight.shape[0]).view(factor.shape)
        return torch.addcmul(grad * weight, scaled, mean, value=-1).mul_(factor), grad_weight, None


class LeanRootMeanSquareNorm(StandIn):
    """The root-mean-square norm of Llama, T5 and similar models.

    Args:
        norm: The module that it replaces and whose weight it uses.
        eps: Added to the mean square.
    """

    def __init__(self, norm: nn.Module, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = norm.weight, eps
        self.take_place_of(norm)

    def forward(self, x: Tensor, *more: Any, **named: Any) -> Any:
        """[…, width] → the same shape. Calls with more arguments (a gate) go to the replaced norm."""
        if more or named:
            return self.usual(x, *more, **named)
        weight: Any = self.weight
        found = root_mean_square(x, weight, self.eps)
        return _RootMeanSquare.apply(x, self.weight, self.eps) if found is None else found  # type: ignore[no-untyped-call]


class FusedRootMeanSquareNorm(LeanRootMeanSquareNorm):
    """The same norm as a single PyTorch operation, which on a GPU is one kernel forward and one backward."""

    def forward(self, x: Tensor, *more: Any, **named: Any) -> Any:
        """[…, width] → the same shape. Inputs of another dtype than the weight go to the replaced norm."""
        if more or named or x.dtype != self.weight.dtype:
            return self.usual(x, *more, **named)
        weight: Any = self.weight
        return nn.functional.rms_norm(x, weight.shape, weight, self.eps)


def lean_form(module: nn.Module) -> nn.Module | None:
    """A faster module that computes the same; None when there is none or its results differ."""
    if type(module).__name__ in ("NewGELUActivation", "FastGELUActivation"):
        lean: nn.Module = nn.GELU("tanh")
        return lean if _is_same(module, lean, torch.randn(4, 8, generator=_seeded())) else None
    weight, eps = getattr(module, "weight", None), getattr(module, "variance_epsilon", None)
    is_plain = isinstance(weight, nn.Parameter) and len(list(module.parameters())) == 1 and not list(module.children())
    if not is_plain or not isinstance(eps, float) or weight is None or weight.ndim != 1:
        return None
    lean = (FusedRootMeanSquareNorm if weight.is_cuda else LeanRootMeanSquareNorm)(module, eps)
    x = torch.randn(1, 3, weight.shape[0], generator=_seeded()).to(weight)
    return lean if weight.dtype == torch.float32 and _is_same(module, lean, x) else None


def _is_same(module: nn.Module, lean: nn.Module, x: Tensor) -> bool:
    try:
        with torch.no_grad():
            return torch.allclose(module(x), lean(x), rtol=TOLERANCE, atol=TOLERANCE)
    except FAILURES:
        # For example, a norm that requires a gate.
        return False


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)
