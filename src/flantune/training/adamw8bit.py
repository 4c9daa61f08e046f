"""AdamW with 8-bit moments, with the same results on a whole weight and on any share of its rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from flantune.training.adafactor import Weightwise
from flantune.training.block_codes import block_size, code_book

_CHUNK = {"cpu": 2**16, "cuda": 2**24}
"""Number of weights decoded together: few enough for a processor's cache, many enough to use a whole GPU."""
_CODED = ("moment1", "moment2", "scales1", "scales2")
_PLAIN = ("moment1", "moment2")


class AdamW8bit(Weightwise):
    """AdamW whose moments take two bytes per weight instead of eight.

    In a step, a moment is decoded, updated and used in float32, then encoded again. Tensors below 4,096 weights, those
    with one dimension and those whose rows cannot be divided into equal blocks of 64 to 256 values keep float32
    moments.

    A weight may be sharded (a ``DTensor`` along its first dimension): each process then updates its rows exactly as a
    single process would, and its state is sharded in the same way.

    Args:
        parameters: Named float32 tensors, or tensors; as ``torch.optim.Optimizer`` takes them.
        lr: Learning rate. A schedule writes ``group["lr"]``.
        betas: Decay of first and second moments.
        eps: Added to the root of second moments.
        weight_decay: Decoupled; for groups without their own value.

    Paper: Dettmers et al. 2021, 8-bit optimizers via block-wise quantization.
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def change(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """One step of one weight."""
        state = self.state[weight]
        if not state:
            state.update(_fresh_state(weight.detach()))
        state["step"] += 1
        step = int(state["step"])
        moments = [_own(state[name]) for name in (_CODED if "scales1" in state else _PLAIN)]
        for own, slope, *parts in _chunks(_own(weight), _own(gradient), *moments):
            if len(parts) == len(_PLAIN):
                _step(own, slope, parts[0], parts[1], step=step, group=group)
                continue
            signed, unsigned = (code_book(is_signed=is_signed, device=own.device) for is_signed in (True, False))
            first, second = signed.decode(parts[0], parts[2]), unsigned.decode(parts[1], parts[3])
            _step(own, slope, first, second, step=step, group=group)
            signed.encode_(first, parts[0], parts[2])
            unsigned.encode_(second, parts[1], parts[3])

    def restore(self, states: Mapping[nn.Parameter, Mapping[str, Tensor]]) -> None:
        """Restores stored states bit for bit, without a cast to the weights' dtype.

        Raises:
            ValueError: They are not from this optimizer.
        """
        for weight, state in states.items():
            fresh = _fresh_state(weight.detach())
            wanted = {name: (tensor.shape, tensor.dtype) for name, tensor in fresh.items()}
            if {name: (tensor.shape, tensor.dtype) for name, tensor in state.items()} != wanted:
                raise ValueError(
                    "its optimizer's state is not that of flantune's AdamW in 8 bits; in earlier versions "
                    '"adamw8bit" was the optimizer of bitsandbytes, which is now "adamw8bit-bnb"'
                )
            self.state[weight] = {
                name: tensor if name == "step" else tensor.to(weight.device) for name, tensor in state.items()
            }


def _fresh_state(weight: Tensor) -> dict[str, Tensor]:
    # A tensor on the CPU, so that reading it never waits for an accelerator; it is stored like any other state.
    step = torch.zeros((), dtype=torch.float32)
    block = block_size(weight.shape)
    if block is None:
        return {"step": step, **{name: torch.zeros_like(weight) for name in _PLAIN}}
    # The first value of each block represents the block, so that scales are sharded like their rows.
    heads = weight[..., : weight.shape[-1] // block]
    return {
        "step": step,
        **{name: torch.zeros_like(weight, dtype=torch.uint8) for name in _PLAIN},
        **{name: torch.zeros_like(heads, memory_format=torch.contiguous_format) for name in ("scales1", "scales2")},
    }


def _own(tensor: Tensor) -> Tensor:
    """This process's share of a tensor, as a view. A whole tensor is returned unchanged."""
    return cast("Tensor", tensor.to_local()) if hasattr(tensor, "to_local") else tensor


def _chunks(*tensors: Tensor) -> Iterator[list[Tensor]]:
    """Consecutive groups of rows of all tensors, as views."""
    first = tensors[0]
    row = first.shape[-1] if first.ndim > 1 else 1
    flat = [tensor.reshape(-1, tensor.shape[-1]) if first.ndim > 1 else tensor.reshape(-1) for tensor in tensors]
    rows = max(1, _CHUNK.get(first.device.type, _CHUNK["cuda"]) // max(1, row))
    for begin in range(0, len(flat[0]), rows):
        yield [tensor[begin : begin + rows] for tensor in flat]


def _step(
    weight: Tensor, gradient: Tensor, first: Tensor, second: Tensor, *, step: int, group: Mapping[str, Any]
) -> None:
    """AdamW's step; updates weight and moments in place."""
    beta1, beta2 = group["betas"]
    weight.mul_(1.0 - group["lr"] * group["weight_decay"])
    first.lerp_(gradient, 1.0 - beta1)
    second.mul_(beta2).addcmul_(gradient, gradient, value=1.0 - beta2)
    size = second.sqrt().div_(math.sqrt(1.0 - beta2**step)).add_(group["eps"])
    weight.addcdiv_(first, size, value=-group["lr"] / (1.0 - beta1**step))
