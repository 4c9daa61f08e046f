"""Matrix products by oneDNN where it is faster than PyTorch's default.

PyTorch multiplies float32 matrices with MKL, which is optimized for Intel's processors. On processors of other makers
with AVX-512, oneDNN (part of PyTorch) is faster: from 128 rows on, on one core of an AMD EPYC, 225 instead of 100
GFLOP/s, on one of another, 107 instead of 90. Weights are used as they are, without a copy. Without gradients, so for
reading a model only.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from flantune.models.forms.exchange import StandIn

FEWEST_ROWS = 8
"""With fewer rows, reading the weight takes most of the time, and oneDNN has no advantage."""


class FastLinear(StandIn):
    """A linear layer computed by oneDNN.

    Args:
        layer: The layer that it replaces; its weights are read at each call.
    """

    def __init__(self, layer: nn.Linear | Conv1D) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.is_transposed = isinstance(layer, Conv1D)
        self.take_place_of(layer)

    def forward(self, x: Tensor) -> Tensor:
        """[…, inputs] → […, outputs]."""
        weight = self.weight.T if self.is_transposed else self.weight
        return product(x, weight, self.bias)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias``, like ``torch.nn.functional.linear``.

    Args:
        x: […, inputs], float32.
        weight: [outputs, inputs], with any strides.
        bias: [outputs].
    """
    if x.numel() < FEWEST_ROWS * x.shape[-1] or not has_faster_products():
        return torch.nn.functional.linear(x, weight, bias)
    found: Tensor = _onednn()._linear_pointwise(x, weight, bias, "none", [], "")
    return found


def fast_form(module: nn.Module) -> FastLinear | None:
    """The layer computed by oneDNN; None if that is not faster, or for all but plain linear layers in float32."""
    if type(module) not in (nn.Linear, Conv1D) or not has_faster_products():
        return None
    layer: Any = module
    plain = all(type(weight) is nn.Parameter and weight.dtype == torch.float32 for weight in layer.parameters())
    return FastLinear(layer) if plain and layer.weight.device.type == "cpu" else None


@cache
def has_faster_products() -> bool:
    """Whether oneDNN multiplies float32 matrices correctly and faster than PyTorch's default on this processor.

    Decided by the kind of processor, not by timing, so that scores are reproducible on a machine.
    """
    # Untyped in torch.
    mkldnn: Any = torch.backends.mkldnn
    if not mkldnn.is_available() or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    x, weight = (torch.arange(32.0 * rows).remainder(7).view(rows, 32) for rows in (16, 24))
    try:
        found = _onednn()._linear_pointwise(x, weight, None, "none", [], "")
    except (AttributeError, RuntimeError, TypeError):
        return False
    return not _is_intel() and torch.equal(found, x @ weight.T)


def _onednn() -> Any:
    return torch.ops.mkldnn


def _is_intel() -> bool:
    try:
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        # Unknown: nothing is changed.
        return True
