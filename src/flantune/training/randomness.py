"""Randomness and determinism of the forward and backward pass, with no state to store between steps."""

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

    Dropout depends only on (seed, step, micro-batch), so a resumed run needs no stored generator state.
    """
    words = np.random.SeedSequence([seed, step, number]).generate_state(2, np.uint32)
    torch.manual_seed(int(words[0]) << 32 | int(words[1]))


def embedding_noise(alpha: float, *, seed: int, step: int) -> EmbeddingNoise | None:
    """The noise of a step, which depends only on (seed, step); None if there is none."""
    return EmbeddingNoise(alpha=alpha, key=stream_key(seed, "embedding noise", step)) if alpha else None


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Within the block, the same arrays give the same bits; afterwards PyTorch's global state is restored.

    Without it, the backward pass of indexing adds up in whatever order the threads arrive. Operations without a
    deterministic form on some accelerator warn and continue.
    """
    was_on, was_warning = torch.are_deterministic_algorithms_enabled(), _warns_only()
    was_filling = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    with own_chance(device):
        try:
            torch.use_deterministic_algorithms(True, warn_only=True)
            # Only useful for finding reads of uninitialized memory, at the cost of writing every new tensor.
            deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
            yield
        finally:
            torch.use_deterministic_algorithms(was_on, warn_only=was_warning)
            deterministic.fill_uninitialized_memory = was_filling  # type: ignore[attr-defined]


@contextmanager
def dropout(model: nn.Module, share: float | None, *, recomputes: bool = False) -> Iterator[None]:
    """Within the block, the model trains with this dropout (None: its own); afterwards it is in evaluation mode again.

    Sets every ``nn.Dropout`` and the values that attention layers store (``attention_dropout`` of Llama, ``dropout`` of
    T5). The config is not changed, so the saved model keeps its own.

    With 0, nothing is random: the model computes the same as in evaluation, so that layer dropout (M2M100, OPT), router
    jitter (Switch, Mixtral) and any other randomness in training are off too, without a list of their names.

    Args:
        model: The model.
        share: The share that is dropped.
        recomputes: Layers recompute their activations, which they only do in training mode.
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
    """Within the block, the model is in evaluation mode; afterwards training continues unaffected."""
    with own_chance(device), torch.no_grad(), in_mode(model, training=False):
        yield


def _that_recompute(model: nn.Module) -> list[nn.Module]:
    """The modules that check their training mode before recomputing: layers, or their containers."""
    return [module for module in model.modules() if hasattr(module, "gradient_checkpointing")]


def _random_numbers(module: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """The random shares and sizes stored in a module itself, not in its submodules."""
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
