"""Weights that tuning does not change, chosen by keyword or by name."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

from flantune.errors import TrainingError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

# Names of the stack of layers in different architectures.
_STACKS = ("layers", "layer", "h", "block", "blocks")
_LAYERS = re.compile(r"(?:(encoder|decoder)\.)?layers\.(\d+)(?:-(\d+))?")
_WORDS = ("embeddings", "head", "norms", "encoder", "decoder")


class FreezeError(TrainingError):
    """``training.freeze`` does not match the model: a mistake in the run file."""

    exit_code = 2


def freeze(model: nn.Module, patterns: Sequence[str]) -> frozenset[str]:
    """Freezes the weights that match any of the patterns; returns their names.

    Args:
        model: The weights lose ``requires_grad``; those already without it stay so.
        patterns: "embeddings" (of tokens and positions; a head that shares them is frozen with them), "head", "norms",
            "encoder", "decoder", "layers.3", "layers.0-5", "encoder.layers.0-5"; or a weight's or module's name, in
            which ``*`` matches anything.

    Raises:
        FreezeError: A pattern matches no weight of this model, or nothing is left to train.
    """
    frozen = meant_by(model, patterns)
    weights = dict(model.named_parameters())
    if not frozen:
        return frozen
    if not any(weight.requires_grad for name, weight in weights.items() if name not in frozen):
        hint = "freeze less: training.freeze names every weight of the model"
        raise FreezeError("every weight is frozen, so there is nothing to train", where="training.freeze", hint=hint)
    for name in frozen:
        weights[name].requires_grad_(False)
    return frozen


def meant_by(model: nn.Module, patterns: Sequence[str]) -> frozenset[str]:
    """The names of the weights that match any of the patterns.

    Raises:
        FreezeError: A pattern matches no weight of this model.
    """
    weights = dict(model.named_parameters())
    return frozenset[str]().union(*(_meant(model, weights, pattern) for pattern in patterns))


def _meant(model: nn.Module, weights: Mapping[str, nn.Parameter], pattern: str) -> set[str]:
    if match := _LAYERS.fullmatch(pattern):
        first, last = int(match[2]), int(match[3] or match[2])
        found = {name for name in weights if _is_in_layers(name, side=match[1], first=first, last=last)}
    elif pattern in ("encoder", "decoder"):
        found = {name for name in weights if pattern in name.split(".")}
    elif pattern in _WORDS:
        chosen = {"embeddings": _embeddings, "head": _head, "norms": _norms}[pattern](model)
        found = {name for name, weight in weights.items() if id(weight) in chosen}
    else:
        found = {name for name in weights if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")}
    if not found:
        known = (*_WORDS, "layers.0", *weights)
        hint = did_you_mean(pattern, known) or f"one of its weights is {next(iter(weights))}"
        raise FreezeError(f'"{pattern}" matches no weight of this model', where="training.freeze", hint=hint)
    return found


def _is_in_layers(name: str, *, side: str | None, first: int, last: int) -> bool:
    """Whether a weight belongs to these layers, counted from 0 in each stack.

    >>> _is_in_layers("model.layers.3.mlp.up_proj.weight", side=None, first=0, last=3)
    True
    >>> _is_in_layers("encoder.block.3.layer.0.layer_norm.weight", side="decoder", first=3, last=3)
    False
    """
    parts = name.split(".")
    if side is not None and side not in parts:
        return False
    numbers = (int(after) for part, after in pairwise(parts) if part in _STACKS and after.isdigit())
    number = next(numbers, None)
    return number is not None and first <= number <= last


def _embeddings(model: nn.Module) -> Collection[int]:
    # T5's distance bias is an Embedding too, but belongs to attention.
    modules = (module for name, module in model.named_modules() if not name.endswith("relative_attention_bias"))
    return {id(module.weight) for module in modules if isinstance(module, nn.Embedding)}


def _head(model: nn.Module) -> Collection[int]:
    head = getattr(model, "get_output_embeddings", lambda: None)()
    return set() if head is None else {id(weight) for weight in head.parameters()}


def _norms(model: nn.Module) -> Collection[int]:
    modules = (module for module in model.modules() if "norm" in type(module).__name__.lower())
    return {id(weight) for module in modules for weight in module.parameters(recurse=False)}
