"""Optimizers by name, and their state as named tensors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from flantune.errors import TrainingError
from flantune.training.adafactor import Adafactor
from flantune.training.adamw8bit import AdamW8bit
from flantune.training.bitsandbytes_adamw import (
    CONSTANT_KEYS,
    build_bitsandbytes,
    is_bitsandbytes,
    restore_bitsandbytes,
)

if TYPE_CHECKING:
    from flantune.settings.config import TrainingSettings


def build_optimizer(
    model: nn.Module, settings: TrainingSettings, *, rate_factors: Mapping[str, float] | None = None
) -> torch.optim.Optimizer:
    """The optimizer that a run file names, for all trainable weights of the model.

    Args:
        model: The model.
        settings: Which optimizer.
        rate_factors: Factor of a weight's learning rate, by name; 1 if absent.

    Raises:
        TrainingError: The optimizer of bitsandbytes is requested but not installed.

    Paper: FLAN 2021, section 2.4 (Adafactor).
    """
    if settings.optimizer == "adafactor":
        own = settings.adafactor.model_dump()
        plain: list[dict[str, Any]] = [{"params": list(trainable(model).items())}]
        return Adafactor(_by_rate(plain, rate_factors or {}), lr=settings.learning_rate, **own)
    decaying = weight_decay_groups(model, settings.weight_decay, spared=settings.no_decay)
    groups = _by_rate(decaying, rate_factors or {})
    if settings.optimizer == "adamw8bit":
        return AdamW8bit(groups, lr=settings.learning_rate, betas=settings.adam.betas, eps=settings.adam.eps)
    if settings.optimizer == "adamw8bit-bnb":
        return build_bitsandbytes(groups, settings)
    return torch.optim.AdamW(
        groups,
        lr=settings.learning_rate,
        betas=settings.adam.betas,
        eps=settings.adam.eps,
        fused=_can_fuse(model),
    )


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The trainable weights, by name; a shared weight once, under its first name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def weight_decay_groups(
    model: nn.Module, weight_decay: float, *, spared: Collection[str] = ("norms", "biases", "embeddings")
) -> list[dict[str, Any]]:
    """Two parameter groups: weights that decay, and those that do not.

    By default only matrices decay. Norms and biases set a scale, which decay would shrink. Embeddings do not decay,
    since a token that is absent from the tuning data gets no gradient, so that decay alone would shrink its embedding.
    A head that shares the embedding's weight does not decay either.
    """
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    groups: dict[bool, list[tuple[str, nn.Parameter]]] = {True: [], False: []}
    for name, weight in trainable(model).items():
        groups[_kind(name, weight, embeddings) not in spared].append((name, weight))
    decays = {True: weight_decay, False: 0.0}
    return [{"params": named, "weight_decay": decays[does]} for does, named in groups.items() if named]


def _by_rate(groups: list[dict[str, Any]], factors: Mapping[str, float]) -> list[dict[str, Any]]:
    """The groups subdivided, so that all weights of a group have the same rate."""
    divided = []
    for group in groups:
        by_factor: dict[float, list[tuple[str, nn.Parameter]]] = {}
        for name, weight in group["params"]:
            by_factor.setdefault(factors.get(name, 1.0), []).append((name, weight))
        divided += [{**group, "params": named, "rate_factor": factor} for factor, named in by_factor.items()]
    return divided


def _kind(name: str, weight: nn.Parameter, embeddings: Collection[int]) -> str:
    if id(weight) in embeddings:
        return "embeddings"
    if weight.ndim >= 2:
        return "matrices"
    return "biases" if name.endswith("bias") else "norms"


def check_float32(model: nn.Module) -> None:
    """Refuses weights in a dtype in which small steps are lost, or which overflows.

    Raises:
        TrainingError: A trainable weight is not float32. In bfloat16 a step of less than 1/512 of a weight is
            rounded away; in float16 T5 models overflow.
    """
    wrong = {name: weight.dtype for name, weight in trainable(model).items() if weight.dtype != torch.float32}
    if wrong:
        name, dtype = next(iter(wrong.items()))
        hint = 'load the model in float32; model.dtype = "bfloat16" is for the arithmetic, not for the weights'
        raise TrainingError(f"{len(wrong)} weights are not float32: {name} is {dtype}", where="training", hint=hint)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the rate of the next step for every group, some with a factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("rate_factor", 1.0)


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as tensors named ``<weight>/<key>``, such as ``lm_head.weight/row``."""
    return {
        f"{name}/{key}": value if isinstance(value, Tensor) else torch.tensor(value)
        for name, weight in trainable(model).items()
        for key, value in optimizer.state.get(weight, {}).items()
        if key not in CONSTANT_KEYS
    }


def restore_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restores what ``optimizer_tensors`` returned.

    Raises:
        TrainingError: A tensor belongs to no weight of this model.
        ValueError: They are not from this kind of optimizer.
    """
    weights = trainable(model)
    states: dict[str, dict[str, Tensor]] = {}
    for full_name, tensor in tensors.items():
        name, _, key = full_name.rpartition("/")
        if name not in weights:
            hint = "the checkpoint is of another model: choose another folder, or delete the checkpoints"
            raise TrainingError(f"the optimizer's state has {name!r}, which the model lacks", hint=hint)
        states.setdefault(name, {})[key] = tensor
    by_weight: dict[nn.Parameter, dict[str, Tensor]] = {weights[name]: state for name, state in states.items()}
    if isinstance(optimizer, AdamW8bit):
        return optimizer.restore(by_weight)
    if is_bitsandbytes(optimizer):
        return restore_bitsandbytes(optimizer, by_weight)
    numbers = {
        id(weight): number
        for number, weight in enumerate([weight for group in optimizer.param_groups for weight in group["params"]])
    }
    loaded = optimizer.state_dict()
    loaded["state"] = {numbers[id(weight)]: state for weight, state in by_weight.items()}
    optimizer.load_state_dict(loaded)
    return None


def _can_fuse(model: nn.Module) -> bool:
    weights = trainable(model).values()
    return all(weight.device.type in ("cpu", "cuda") and weight.is_floating_point() for weight in weights)
