"""Adafactor as in the papers' trainer: a few vectors of memory per matrix, steps in proportion to weights."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor


class Weightwise(torch.optim.Optimizer):
    """An optimizer whose step is defined for a single weight."""

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Updates every weight that has a gradient."""
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
        """Updates one weight in place, with the settings of its group."""


class Adafactor(Weightwise):
    """Adafactor with the rules of T5X, where the FLAN models were tuned.

    For a gradient G of step t (counted from 1), all per tensor:

    - second moments decay by ``1 − (t − step_offset)^−decay_exponent``, so the first step forgets the initial zeros;
      ``eps_square`` is added to each G²;
    - a tensor with two dimensions of at least ``min_dim_size_to_factor`` keeps only the means of G² along its two
      largest dimensions; every other tensor keeps one value per weight;
    - the update G / √V is scaled down to a root mean square of at most ``clipping_threshold``;
    - the rate is multiplied by ``max(eps_scale, RMS(weights))``, unless ``parameter_scale`` is off. There is no
      momentum and no weight decay.

    The rate is constant or a schedule's; the paper's relative step size, min(0.01, 1/√t), is the schedule
    "inverse_sqrt" with a peak of 0.01.

    How the two well-known PyTorch versions differ, and why neither can be used instead:

    - ``torch.optim.Adafactor`` limits the rate to ``1/√t`` (at most 0.0058 at step 30,000),
      factors every tensor with two or more dimensions regardless of size, always by the last two, and adds no
      ``eps`` to G²; it floors the second moment instead.
    - ``transformers.Adafactor`` factors every tensor with two or more dimensions, factors by the *last* two, has
      ``relative_step`` switched on by default (which refuses a rate), and is often run with ``scale_parameter=False``,
      which gives the same rate a different meaning. With its switches set, it takes these steps for large matrices.

    Args:
        parameters: Named float32 tensors, or tensors; as ``torch.optim.Optimizer`` takes them.
        lr: Rate relative to the size of each tensor's weights. A schedule writes ``group["lr"]``.
        decay_exponent: How fast the averaging window of second moments grows.
        step_offset: Subtracted from the step if second moments start from zero after pretraining.
        clipping_threshold: Largest root mean square of an update, before the rate.
        min_dim_size_to_factor: Smaller matrices are not worth factoring.
        eps_square: Added to squared gradients.
        eps_scale: Tensors with smaller weights (such as zeros) are treated as if they had this root mean square.
        parameter_scale: False makes the rate absolute.

    Paper: Shazeer and Stern 2018, algorithms 4 and 5; FLAN 2021, section 2.4.
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        *,
        lr: float,
        decay_exponent: float = 0.8,
        step_offset: int = 0,
        clipping_threshold: float = 1.0,
        min_dim_size_to_factor: int = 128,
        eps_square: float = 1e-30,
        eps_scale: float = 1e-3,
        parameter_scale: bool = True,
    ) -> None:
        super().__init__(
            parameters,
            {
                "lr": lr,
                "decay_exponent": decay_exponent,
                "step_offset": step_offset,
                "clipping_threshold": clipping_threshold,
                "min_dim_size_to_factor": min_dim_size_to_factor,
                "eps_square": eps_square,
                "eps_scale": eps_scale,
                "parameter_scale": parameter_scale,
            },
        )

    def change(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """One step of one weight."""
        state, axes = self.state[weight], factored_axes(weight.shape, group["min_dim_size_to_factor"])
        if not state:
            state.update(_fresh_state(weight, axes))
        # A tensor on the CPU, so that reading it never waits for an accelerator; it is stored like any other state.
        state["step"] += 1
        mixing = (state["step"].item() - group["step_offset"]) ** -group["decay_exponent"]
        if axes is None:
            update = _whole_direction(gradient, state["v"], mixing, group["eps_square"])
        else:
            update = _factored_direction(gradient, state["row"], state["column"], axes, mixing, group["eps_square"])
        # Everything stays a tensor, so that the host never waits for the device.
        size = math.sqrt(weight.numel())
        excess = (torch.linalg.vector_norm(update) / (size * group["clipping_threshold"])).clamp_(min=1.0)
        if group["parameter_scale"]:
            scale = (torch.linalg.vector_norm(weight) / size).clamp_(min=group["eps_scale"]).div_(excess)
        else:
            scale = excess.reciprocal_()
        weight.addcmul_(update, scale, value=-group["lr"])


def factored_axes(shape: Iterable[int], min_dim_size: int) -> tuple[int, int] | None:
    """The two axes whose second moments are kept separately, the smaller one first; None if the tensor is not factored.

    >>> factored_axes((512, 128), 128), factored_axes((512, 127), 128), factored_axes((4096,), 128)
    ((1, 0), None, None)
    >>> factored_axes((256, 256), 128), factored_axes((3, 200, 300), 128)
    ((0, 1), (1, 2))
    """
    sizes = list(shape)
    if len(sizes) < 2:
        return None
    row, column = sorted(range(len(sizes)), key=lambda axis: sizes[axis])[-2:]
    return (row, column) if sizes[row] >= min_dim_size else None


def _fresh_state(weight: Tensor, axes: tuple[int, int] | None) -> dict[str, Tensor]:
    step = torch.zeros((), dtype=torch.float32)
    if axes is None:
        return {"step": step, "v": torch.zeros_like(weight, memory_format=torch.preserve_format)}
    row, column = axes
    return {
        "step": step,
        # Named by the axis that it has values for; the other axis has size 1, so that shapes broadcast.
        "row": weight.new_zeros([1 if axis == column else size for axis, size in enumerate(weight.shape)]),
        "column": weight.new_zeros([1 if axis == row else size for axis, size in enumerate(weight.shape)]),
    }


def _whole_direction(gradient: Tensor, moment: Tensor, mixing: float, eps: float) -> Tensor:
    moment.mul_(1.0 - mixing).addcmul_(gradient, gradient, value=mixing).add_(mixing * eps)
    return gradient * moment.rsqrt()


def _factored_direction(
    gradient: Tensor, row: Tensor, column: Tensor, axes: tuple[int, int], mixing: float, eps: float
) -> Tensor:
    square = gradient.square()
    row.mul_(1.0 - mixing).add_(square.mean(dim=axes[1], keepdim=True).add_(eps), alpha=mixing)
    column.mul_(1.0 - mixing).add_(square.mean(dim=axes[0], keepdim=True).add_(eps), alpha=mixing)
    # V is estimated by row × column / mean(row); the mean is over the row axis only, so that a stack of matrices
    # (a tensor with more than two axes) is a stack of estimates.
    row_factor = (row / row.mean(dim=axes[0], keepdim=True)).rsqrt_()
    return torch.mul(gradient, row_factor, out=square).mul_(column.rsqrt())
