"""Randomness and determinism of the forward and backward pass, with nothing to store between steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.utils import deterministic

from flantune.models.embedding_noise import EmbeddingNoise
from flantune.models.modes import in_mode, own_chance
from flantune.system.keyed_random import stream_key


def seed_micro_batch(seed: int, *, step: int, number: int) -> None:
    """Seeds PyTorch's random numbers for this micro-batch of this step.

    Dropout depends on (seed, step, micro-batch) alone, so a resumed run needs no stored generator state.
    """
    words = np.random.SeedSequence([seed, step, number]).generate_state(2, np.uint32)
    torch.manual_seed(int(words[0]) << 32 | int(words[1]))


def embedding_noise(alpha: float, *, seed: int, step: int) -> EmbeddingNoise | None:
    """The noise of a step, which depends on (seed, step) alone; None where there is none."""
    return EmbeddingNoise(alpha=alpha, key=stream_key(seed, "embedding noise", step)) if alpha else None


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Within the block, the same arrays give the same bits; outside, PyTorch's global state is as it was.

    Without it, the backward pass of "take these positions" adds up in whatever order the threads arrive. Operations
    that have no deterministic form on some accelerator warn and go on.
    """
    was_on, was_warning = torch.are_deterministic_algorithms_enabled(), _warns_only()
    was_filling = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    with own_chance(device):
        try:
            torch.use_deterministic_algorithms(True, warn_only=True)
            # Only there to find reads of unset memory; it costs a write of every new tensor.
            deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
            yield
        finally:
            torch.use_deterministic_algorithms(was_on, warn_only=was_warning)
            deterministic.fill_uninitialized_memory = was_filling  # type: ignore[attr-defined]


@contextmanager
def dropout(model: nn.Module, share: float | None, *, recomputes: bool = False) -> Iterator[None]:
    """Within the block, the model trains with this dropout (None: its own); afterwards it is back in evaluation mode.

    Sets every ``nn.Dropout`` and the numbers that attention layers keep for themselves (``attention_dropout`` of
    Llama, ``dropout`` of T5). The config is left alone: what is saved is the model that was given.

    With 0, nothing is random: the model computes what it computes when it is measured, so that layers left out by
    chance (M2M100, OPT), jitter of routers (Switch, Mixtral) and whatever else a model draws in training are off, too,
    without anybody knowing its name.

    Args:
        model: The model.
        share: Of what is left out.
        recomputes: Layers compute their activations again, which they do in training mode only.
    """
    found = [] if share is None else list(_dropout_settings(model))
    if share == 0.0:
        found = [pair for module in _that_recompute(model) for pair in _random_numbers(module)] if recomputes else []
    before = [(module, name, getattr(module, name)) for module, name in found]
    try:
        for module, name in found:
            setattr(module, name, share)
        model.train(share != 0.0)
        for module in _that_recompute(model) if recomputes else ():
            module.training = True
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
        model.eval()


@contextmanager
def undisturbed(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Within the block, the model is as when it is measured; afterwards it trains on as if nothing had been."""
    with own_chance(device), torch.no_grad(), in_mode(model, training=False):
        yield


def _that_recompute(model: nn.Module) -> list[nn.Module]:
    """The modules that ask themselves whether they train before they compute again: layers, or what holds them."""
    return [module for module in model.modules() if hasattr(module, "gradient_checkpointing")]


def _random_numbers(module: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """The shares and sizes of chance that a module keeps for itself, not for its parts."""
    for name, value in vars(module).items():
        if isinstance(value, float) and any(word in name for word in ("drop", "jitter", "noise")):
            yield module, name


def _dropout_settings(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            yield module, "p"
        for name, value in vars(module).items():
            if isinstance(value, float) and name.endswith(("dropout", "dropout_rate", "dropout_prob")):
                yield module, name


def _warns_only() -> bool:
    return torch.is_deterministic_algorithms_warn_only_enabled()
