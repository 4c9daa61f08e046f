"""A model in another mode for a while, each of its modules as it was before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def in_mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Inside, all of a model trains (with dropout) or none of it; afterwards each module does what it did."""
    changed = [module for module in model.modules() if module.training is not training]
    for module in changed:
        module.training = training
    try:
        yield
    finally:
        for module in changed:
            module.training = not training


@contextmanager
def quiet(model: nn.Module) -> Iterator[None]:
    """As a trial asks a model: no dropout, no gradients, full precision."""
    device = next(model.parameters()).device.type
    with in_mode(model, training=False), torch.no_grad(), torch.autocast(device, enabled=False):
        yield
