"""Modules in others' places for as long as a block lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

Exchange = tuple[nn.Module, str, nn.Module, nn.Module]
"""Where a module is (its parent, its name), itself, and what takes its place."""


def exchanges(model: nn.Module, form: Callable[[nn.Module], nn.Module | None]) -> list[Exchange]:
    """Every place of every module that has another form; a module in two places has one."""
    forms: dict[int, nn.Module | None] = {}
    found: list[Exchange] = []
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child is None:
                continue
            if id(child) not in forms:
                forms[id(child)] = form(child)
            other = forms[id(child)]
            if other is not None:
                found.append((parent, name, child, other.train(child.training)))
    return found


@contextmanager
def exchanged(modules: Sequence[Exchange]) -> Iterator[None]:
    """Within the block, the other forms take the modules' places."""
    try:
        for parent, name, _, other in modules:
            parent._modules[name] = other
        yield
    finally:
        for parent, name, usual, _ in modules:
            parent._modules[name] = usual


class StandIn(nn.Module):
    """Base of modules that take another's place for a while.

    Models call their parts in ways that no stand-in knows: a norm with a gate beside it, a weight read past its module.
    Whatever is called or looked up that is not the stand-in's own is the other module's (``usual``).
    """

    def take_place_of(self, usual: nn.Module) -> None:
        """Names the module without making it a part of this one; after the stand-in's own attributes are set."""
        vars(self)["usual"] = usual

    def __getattr__(self, name: str) -> Any:
        """Its own attributes, else those of the module whose place it takes."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            usual = vars(self).get("usual")
            if usual is None:
                raise
            return getattr(usual, name)
