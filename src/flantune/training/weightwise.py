"""What optimizers have in common that change one weight after the other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

import torch

if TYPE_CHECKING:
    from torch import Tensor


class Weightwise(torch.optim.Optimizer):
    """An optimizer whose step is a rule for a single weight."""

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Changes every weight that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self.change(weight, weight.grad, group)
        return loss

    @abstractmethod
    def change(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Changes one weight in place, by the settings of its group."""
