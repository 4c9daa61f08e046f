"""Temporary changes of training mode, gradients and random state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def in_mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Within the block, all modules are in training mode (with dropout), or none is; afterwards, each is as before."""
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
    """Runs a model as trials need it: no dropout, no gradients, full precision."""
    device = next(model.parameters()).device.type
    with in_mode(model, training=False), torch.no_grad(), torch.autocast(device, enabled=False):
        yield


@contextmanager
def own_chance(device: torch.device) -> Iterator[None]:
    """Within the block, drawing random numbers does not affect those drawn outside."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


@contextmanager
def own_gradients(model: nn.Module) -> Iterator[None]:
    """Within the block, gradients may accumulate; afterwards each weight has its former gradient."""
    before = [(weight, weight.grad) for weight in model.parameters()]
    try:
        yield
    finally:
        for weight, grad in before:
            weight.grad = grad
