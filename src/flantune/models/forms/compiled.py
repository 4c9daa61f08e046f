"""Compiled layers: PyTorch compiles one program that all layers of a model share, for inputs of any length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from flantune.errors import ModelError
from flantune.models.compiler import find_compiler, no_compiler

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """The layers of which a model is a stack.

    They are found by the class names in ``_no_split_modules``; without these, they are the members of the model's
    lists. Layers inside other layers and layers without weights are left out.
    """
    names = set(getattr(model, "_no_split_modules", None) or ())
    # FSDP gives a layer a new class that is derived from the model's.
    found = [part for part in model.modules() if not names.isdisjoint(kind.__name__ for kind in type(part).__mro__)]
    if not found:
        lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
        found = [layer for layers in lists for layer in layers]
    inner = {id(part) for layer in found for part in layer.modules() if part is not layer}
    return [layer for layer in found if id(layer) not in inner and any(True for _ in layer.parameters())]


def why_not_compiled(lm: LanguageModel) -> str:
    """Why a model's layers cannot be compiled here; empty when they can."""
    if lm.device.type == "cpu" and not find_compiler():
        return no_compiler()
    if not blocks_of(lm.model):
        return "the model has no layers that could be compiled one by one"
    return ""


class CompiledBlocks:
    """The layers of a model, compiled.

    The first pass compiles, which takes half a minute; PyTorch caches the program on disk for later runs.
    """

    def __init__(self, lm: LanguageModel) -> None:
        self._forwards: list[tuple[nn.Module, Callable[..., Any]]] = [
            (block, torch.compile(block.forward, dynamic=True)) for block in blocks_of(lm.model)
        ]

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block, the model's layers run compiled.

        Raises:
            ModelError: The compiler failed.
        """
        try:
            for block, forward in self._forwards:
                block.forward = forward
            yield
        except torch._dynamo.exc.TorchDynamoException as error:
            raise ModelError(
                f"the model cannot be compiled: {str(error).strip().splitlines()[0]}",
                where="training.compile",
                hint="set training.compile = false",
            ) from error
        finally:
            for block, _ in self._forwards:
                vars(block).pop("forward", None)
