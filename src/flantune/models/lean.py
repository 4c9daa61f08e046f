"""A model in the lean forms of its small operations for as long as it is only read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from flantune.models.fused import lean_form
from flantune.models.products import fast_form

if TYPE_CHECKING:
    from torch import nn

    from flantune.models.load import LanguageModel


@contextmanager
def lean_operations(lm: LanguageModel) -> Iterator[None]:
    """Inside, norms and activations pass over their tensors less often; the numbers are the same to rounding.

    On a CPU only. Linear layers are computed by the faster of two libraries, where arithmetic is float32.
    """
    is_exact = lm.compute_dtype == torch.float32
    changed = list(_places(lm.model, is_exact=is_exact)) if lm.device.type == "cpu" else []
    try:
        for parent, name, _, lean in changed:
            parent._modules[name] = lean
        yield
    finally:
        for parent, name, usual, _ in changed:
            parent._modules[name] = usual


def _places(model: nn.Module, *, is_exact: bool) -> Iterator[tuple[nn.Module, str, nn.Module, nn.Module]]:
    """Where each module with a lean form stands: its parent, its name, itself and the lean form."""
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            lean = None if child is None else lean_form(child) or (fast_form(child) if is_exact else None)
            if child is not None and lean is not None:
                yield parent, name, child, lean.train(child.training)
