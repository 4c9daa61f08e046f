"""Matrix products by oneDNN where it is faster than what PyTorch uses by itself.

PyTorch multiplies float32 matrices with MKL, made for Intel's processors. On one with AVX-512 by another maker, oneDNN,
which PyTorch brings along, takes less than half of the time (measured on one core of an AMD EPYC, from 128 rows on: 225
against 100 GFLOP/s). The weights stay where and as they are. For reading a model only: no gradients.
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
"""Below so many rows the time goes to reading the weight, and oneDNN has no advantage."""


class FastLinear(StandIn):
    """A linear layer in oneDNN's hands.

    Args:
        layer: The layer whose place it takes and whose weights it uses, as they are at each call.
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
    """``x @ weight.T + bias``, as ``torch.nn.functional.linear``.

    Args:
        x: […, inputs], float32.
        weight: [outputs, inputs], in any layout.
        bias: [outputs].
    """
    if x.numel() < FEWEST_ROWS * x.shape[-1] or not has_faster_products():
        return torch.nn.functional.linear(x, weight, bias)
    found: Tensor = _onednn()._linear_pointwise(x, weight, bias, "none", [], "")
    return found


def fast_form(module: nn.Module) -> FastLinear | None:
    """The layer in oneDNN's hands; None where that is not faster, or it is not a plain linear layer in float32."""
    if type(module) not in (nn.Linear, Conv1D) or not has_faster_products():
        return None
    layer: Any = module
    plain = all(type(weight) is nn.Parameter and weight.dtype == torch.float32 for weight in layer.parameters())
    return FastLinear(layer) if plain and layer.weight.device.type == "cpu" else None


@cache
def has_faster_products() -> bool:
    """Whether oneDNN multiplies float32 matrices faster here than PyTorch alone, and right.

    Decided by the kind of processor, not by the clock, so that the same prompts get the same numbers on it each time.
    """
    # torch says it without types.
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
