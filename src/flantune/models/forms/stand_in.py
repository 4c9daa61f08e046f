"""A module in another's place: asked in the way it knows, it answers itself; in any other, the other one does."""

from __future__ import annotations

from typing import Any

from torch import nn


class StandIn(nn.Module):
    """Base of modules that take another's place for a while.

    Models call their parts in ways that no stand-in knows: a norm with a gate beside it, a weight read past its module.
    Whatever is called or looked up that is not the stand-in's own is the other module's (``usual``).
    """

    def take_place_of(self, usual: nn.Module) -> None:
        """Names the module without making it a part of this one; after the stand-in's own attributes are set."""
        vars(self)["usual"] = usual

    def __getattr__(self, name: str) -> Any:
        """Its own attributes, else those of the module in whose place it stands."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            usual = vars(self).get("usual")
            if usual is None:
                raise
            return getattr(usual, name)
