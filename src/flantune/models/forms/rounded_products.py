"""Linear layers whose weights are rounded to bfloat16 once, instead of by autocast in each pass.

On a CPU they are also converted to oneDNN's layout once. Everything else, such as embeddings and norms, stays in
float32. Without gradients, so for reading a model only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from flantune.models.forms.exchange import StandIn
from flantune.models.forms.low_rank import merged_layer

ROWS = 512
"""Number of rows for which the layout of the weights is optimized; any other number works, too."""


class PackedLinear(StandIn):
    """A linear layer with rounded weights in oneDNN's layout.

    Args:
        layer: The layer that it replaces; its weights are read once, here.
    """

    def __init__(self, layer: nn.Linear | Conv1D) -> None:
        super().__init__()
        weight = layer.weight.detach()
        rounded = (weight.T if isinstance(layer, Conv1D) else weight).to(torch.bfloat16).contiguous()
        # Neither a parameter nor a buffer: a tensor in an opaque layout must not be saved, moved or counted.
        vars(self)["packed"] = _packed(rounded)
        vars(self)["offset"] = None if layer.bias is None else layer.bias.detach().to(torch.bfloat16)
        self.take_place_of(layer)

    def forward(self, x: Tensor) -> Tensor:
        """[…, inputs] → […, outputs] in bfloat16."""
        return _product(x.to(torch.bfloat16), self.packed, self.offset)


def packed_form(module: nn.Module) -> PackedLinear | None:
    """The layer with packed weights; None for all but plain linear layers in float32, or where packing is unsupported.

    If the layer has a low-rank adapter, the weight and the adapter are added.
    """
    if not has_packed_products():
        return None
    layer: Any = merged_layer(module) or module
    return PackedLinear(layer) if _is_plain(layer) and layer.weight.device.type == "cpu" else None


class RoundedWeights:
    """Rounded copies of the weights of a model's plain linear layers, on any device.

    A weight shared by the head and the embeddings is rounded in the head only.

    Args:
        model: Its weights are read once, here.
    """

    def __init__(self, model: nn.Module) -> None:
        self._places = [
            (module, name, weight)
            for module in model.modules()
            if _is_plain(module)
            for name, weight in module._parameters.items()
            if weight is not None
        ]
        weights = {id(weight): weight for _, _, weight in self._places}
        self._rounded = {
            key: nn.Parameter(weight.detach().to(torch.bfloat16), requires_grad=False)
            for key, weight in weights.items()
        }

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block, the layers use the rounded weights."""
        try:
            for module, name, weight in self._places:
                module._parameters[name] = self._rounded[id(weight)]
            yield
        finally:
            for module, name, weight in self._places:
                module._parameters[name] = weight


@cache
def has_packed_products() -> bool:
    """Whether oneDNN correctly computes bfloat16 products with weights in its own layout on this machine."""
    mkldnn: Any = torch.backends.mkldnn
    if not mkldnn.is_available() or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    # Integers small enough that nothing is rounded.
    x, weight = (torch.arange(64 * rows).remainder(3).view(rows, 64).to(torch.bfloat16) for rows in (16, 32))
    try:
        found = _product(x, _packed(weight), None)
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.equal(found.float(), x.float() @ weight.float().T)


def _is_plain(module: nn.Module) -> bool:
    # The exact type: a subclass (a quantized layer) may compute differently.
    return type(module) in (nn.Linear, Conv1D) and all(
        type(weight) is nn.Parameter and weight.dtype == torch.float32 for weight in module.parameters()
    )


def _packed(weight: Tensor) -> Tensor:
    found: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)
    return found


def _product(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    return found
