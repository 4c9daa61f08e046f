"""Gated feed-forward parts of Llama and T5: activation and gate in one pass over memory, forward and backward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from flantune.models.forms.exchange import StandIn
from flantune.models.forms.row_operations import gate
from flantune.models.modes import in_mode
from flantune.models.trials import FAILURES

TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedNames:
    """Names that an architecture gives the parts of down(act(gate(x)) · up(x)); ``dropout``, if any, precedes down."""

    gate: str
    up: str
    down: str
    activation: str
    dropout: str = ""

    @property
    def all(self) -> set[str]:
        """All names that are not empty."""
        return {self.gate, self.up, self.down, self.activation, self.dropout} - {""}


NAMES = (
    GatedNames(gate="gate_proj", up="up_proj", down="down_proj", activation="act_fn"),
    GatedNames(gate="wi_0", up="wi_1", down="wo", activation="act", dropout="dropout"),
)


class LeanGatedFeedForward(StandIn):
    """A gated feed-forward part; activation and gate are one operation while a program for it is in use."""

    def __init__(self, part: nn.Module, names: GatedNames, *, is_gelu: bool) -> None:
        super().__init__()
        self.names, self.is_gelu = names, is_gelu
        # Registered, so that the weights stay among the model's parameters.
        self.part = part
        self.take_place_of(part)

    def forward(self, x: Tensor, *more: Any, **named: Any) -> Any:
        """[…, width] → the same shape."""
        if more or named:
            return self.usual(x, *more, **named)
        # Looked up at each call, because adapters and rounded weights come and go.
        usual, names = self.usual, self.names
        opened, up = getattr(usual, names.gate)(x), getattr(usual, names.up)(x)
        hidden = gate(opened, up, is_gelu=self.is_gelu)
        if hidden is None:
            hidden = getattr(usual, names.activation)(opened) * up
        if names.dropout:
            hidden = getattr(usual, names.dropout)(hidden)
        return getattr(usual, names.down)(hidden)


def gated_form(module: nn.Module) -> LeanGatedFeedForward | None:
    """The faster form of a gated feed-forward part; None for other modules, or if the results differ."""
    children = dict(module.named_children())
    names = next((each for each in NAMES if each.all == children.keys()), None)
    if names is None or module._parameters or not isinstance(children[names.gate], nn.Module):
        return None
    is_gelu = _is_gelu(children[names.activation])
    if is_gelu is None:
        return None
    lean = LeanGatedFeedForward(module, names, is_gelu=is_gelu)
    return lean if _is_same(module, lean, children[names.gate]) else None


def _is_gelu(activation: nn.Module) -> bool | None:
    """True if the activation is GELU in its tanh form, False if it is SiLU, None if neither."""
    x = torch.linspace(-6, 6, 49)
    try:
        with torch.no_grad():
            found = activation(x)
    except FAILURES:
        return None
    for is_gelu, plain in ((False, nn.functional.silu(x)), (True, nn.functional.gelu(x, approximate="tanh"))):
        if torch.allclose(found, plain, rtol=TOLERANCE, atol=TOLERANCE):
            return is_gelu
    return None


def _is_same(module: nn.Module, lean: LeanGatedFeedForward, first: nn.Module) -> bool:
    width = int(getattr(first, "in_features", 0))
    weight = next(first.parameters(), None)
    if not width or weight is None:
        return False
    x = torch.randn(1, 3, width, generator=torch.Generator().manual_seed(0)).to(weight)
    try:
        with torch.no_grad(), in_mode(module, training=False):
            return torch.allclose(module(x), lean(x), rtol=TOLERANCE, atol=TOLERANCE)
    except FAILURES:
        return False
