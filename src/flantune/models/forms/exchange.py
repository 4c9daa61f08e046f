"""Temporary replacement of a model's modules by others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

Exchange = tuple[nn.Module, str, nn.Module, nn.Module]
"""Parent of a module, its name there, the module, and its replacement."""


def exchanges(model: nn.Module, form: Callable[[nn.Module], nn.Module | None]) -> list[Exchange]:
    """The replacements of all modules for which ``form`` makes one; the same one for a module in two places."""
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
    """Within the block, the modules are replaced."""
    try:
        for parent, name, _, other in modules:
            parent._modules[name] = other
        yield
    finally:
        for parent, name, usual, _ in modules:
            parent._modules[name] = usual


class StandIn(nn.Module):
    """Base of modules that temporarily replace another one (``usual``).

    Attributes that it does not have are looked up in the replaced module, since models may read a weight directly. In
    the same way, subclasses pass calls that they do not support (a norm with a gate, say) on to ``usual``.
    """

    def take_place_of(self, usual: nn.Module) -> None:
        """Sets the replaced module, without registering it as a submodule. Call this after setting other attributes."""
        vars(self)["usual"] = usual

    def __getattr__(self, name: str) -> Any:
        """Looks up the attribute here, then in the replaced module."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            usual = vars(self).get("usual")
            if usual is None:
                raise
            return getattr(usual, name)
