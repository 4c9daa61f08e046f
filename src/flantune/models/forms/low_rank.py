"""Linear layers with a low-rank adapter, computed as one product.

peft computes the adapter's share of each output as a separate tensor that is scaled and added, and so are its
gradients. Here the adapter is added to the rounded copy of the weight that is made once per step anyway. This leaves
one large product forward, one backward, and the two small gradients; the frozen weight gets no gradient.
"""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from flantune.models.forms.exchange import StandIn

if TYPE_CHECKING:
    from collections.abc import Callable


class _LowRankProduct(torch.autograd.Function):
    """x · (W + scale · second · first)ᵀ + bias; only x, ``first`` and ``second`` get a gradient."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, first: Tensor, second: Tensor, scale: float,
        is_sum: bool,
    ) -> Tensor:  # fmt: skip
        """``is_sum``: whether ``weight`` already includes the adapter."""
        ctx.save_for_backward(x, weight, first, second)
        ctx.scale, ctx.is_sum = scale, is_sum
        found = torch.nn.functional.linear(x, weight, bias)
        if not is_sum:
            _flat(found).addmm_(_flat(x) @ first.T, second.T, alpha=scale)
        return found

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, first, second = ctx.saved_tensors
        flat, read = _flat(grad), _flat(x)
        through = flat @ second
        grad_second = flat.T @ (read @ first.T).mul_(ctx.scale)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = flat @ weight
            if not ctx.is_sum:
                grad_x.addmm_(through, first, alpha=ctx.scale)
            grad_x = grad_x.view_as(x)
        return grad_x, None, None, through.mul_(ctx.scale).T @ read, grad_second, None, None


def _flat(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-1])


class LowRankLinear(StandIn):
    """A linear layer with its adapter.

    Args:
        layer: peft's layer, which it replaces.
        dtype: The dtype of the arithmetic. In bfloat16, the rounded sum of weight and adapter is kept; in float32, that
            would double the memory of the weights, and the adapter is computed separately.
    """

    weight: Tensor

    def __init__(self, layer: Any, dtype: torch.dtype) -> None:
        super().__init__()
        (name,) = layer.active_adapters
        # Parameters of this module, so that ``TrainingForm`` can replace them by rounded copies.
        self.first, self.second = layer.lora_A[name].weight, layer.lora_B[name].weight
        self.bias = layer.base_layer.bias
        self.scale = float(layer.scaling[name])
        self.is_sum = dtype != torch.float32
        self.is_turned = isinstance(layer.base_layer, Conv1D)
        # Not a parameter: it is not rounded by ``TrainingForm`` and gets no gradient.
        frozen = layer.base_layer.weight.detach()
        self.register_buffer(
            "weight", torch.empty_like(frozen, dtype=dtype) if self.is_sum else frozen, persistent=False
        )
        self.take_place_of(layer)

    @property
    def frozen(self) -> nn.Parameter:
        """The frozen weight of the replaced layer."""
        weight: nn.Parameter = self.usual.base_layer.weight
        return weight

    @torch.no_grad()
    def add_up(self) -> None:
        """Updates the sum from the current weight and adapter."""
        if not self.is_sum:
            return
        first, second = (part.float() for part in (self.first, self.second))
        parts = (first.T, second.T) if self.is_turned else (second, first)
        self.weight.copy_(torch.addmm(self.frozen, *parts, alpha=self.scale))

    def forward(self, x: Tensor) -> Tensor:
        """[…, inputs] → […, outputs]."""
        weight = self.weight.T if self.is_turned else self.weight
        found: Tensor = _LowRankProduct.apply(  # type: ignore[no-untyped-call]
            x, weight, self.bias, self.first, self.second, self.scale, self.is_sum
        )
        return found


def low_rank_form(model: nn.Module, dtype: torch.dtype) -> Callable[[nn.Module], LowRankLinear | None]:
    """Makes a function from modules of this model to their one-product form; None for all but plain low-rank adapters.

    Not plain, and left to peft, are: dropout before the adapter, variants such as DoRA, a weight shared with other
    layers, and layers whose own weights are trained.
    """
    places = Counter(id(weight) for module in model.modules() for weight in module._parameters.values())

    def form(module: nn.Module) -> LowRankLinear | None:
        layer: Any = module
        base: Any = getattr(layer, "base_layer", None)
        if type(base) not in (nn.Linear, Conv1D) or len(getattr(layer, "lora_A", ())) != 1 or not _is_plain(layer):
            return None
        if any(weight.requires_grad or places[id(weight)] > 1 for weight in base.parameters()):
            return None
        return LowRankLinear(layer, dtype)

    return form


def merged_layer(module: nn.Module) -> nn.Linear | Conv1D | None:
    """A copy of a layer with its low-rank adapter, of any variant, added to the weight.

    None without such an adapter, or if it cannot be added (weights in 4 or 8 bits).
    """
    layer: Any = module
    base: Any = getattr(layer, "base_layer", None)
    if type(base) not in (nn.Linear, Conv1D) or not getattr(layer, "lora_A", None):
        return None
    if layer.disable_adapters or layer.merged:
        return None
    whole = deepcopy(layer)
    whole.merge()
    found: nn.Linear | Conv1D = whole.base_layer
    return found


def _is_plain(layer: Any) -> bool:
    """Whether the adapter is a single active pair of trained matrices, with nothing else."""
    if layer.disable_adapters or layer.merged or layer.lora_variant or len(layer.active_adapters) != 1:
        return False
    (name,) = layer.active_adapters
    return (
        name in layer.lora_A
        and type(layer.lora_dropout[name]) is nn.Identity
        and not layer.lora_bias[name]
        and layer.lora_A[name].weight.requires_grad
        and layer.lora_B[name].weight.requires_grad
    )
