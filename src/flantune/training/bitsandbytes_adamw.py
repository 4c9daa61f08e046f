"""AdamW with 8-bit moments by the kernels of bitsandbytes, for whole models."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch

from flantune.errors import TrainingError
from flantune.system.quiet_imports import hushed

if TYPE_CHECKING:
    from torch import Tensor

    from flantune.settings.config import TrainingSettings

CONSTANT_KEYS = frozenset({"qmap1", "qmap2"})
"""State that is the same for every weight and every run: the values of the 256 codes."""


def build_bitsandbytes(groups: list[dict[str, Any]], settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW whose moments are stored in 8 bits with a scale per block of 256; tensors below 4,096 weights stay float32.

    Raises:
        TrainingError: bitsandbytes is not installed.

    Paper: Dettmers et al. 2021, 8-bit optimizers via block-wise quantization.
    """
    with hushed():
        try:
            library: Any = import_module("bitsandbytes.optim")
        except ImportError as error:
            hint = "in flantune's folder: pip install -e '.[lean]'; or set it to \"adamw8bit\", which needs nothing"
            raise TrainingError("bitsandbytes is not installed", where="training.optimizer", hint=hint) from error
    # bitsandbytes does not accept names with the tensors, as torch's optimizers do.
    plain = [{**group, "params": [weight for _, weight in group["params"]]} for group in groups]
    made: torch.optim.Optimizer = library.AdamW8bit(
        plain, lr=settings.learning_rate, betas=settings.adam.betas, eps=settings.adam.eps
    )
    return made


def is_bitsandbytes(optimizer: torch.optim.Optimizer) -> bool:
    """Whether the optimizer is one of bitsandbytes."""
    return hasattr(optimizer, "name2qmap")


def restore_bitsandbytes(optimizer: Any, states: Mapping[torch.nn.Parameter, Mapping[str, Tensor]]) -> None:
    """Restores stored states in place, bit for bit, without a cast to the weights' dtype.

    Raises:
        ValueError: They are not from bitsandbytes.
    """
    if any("state1" not in state for state in states.values()):
        raise ValueError('its optimizer\'s state is not that of bitsandbytes ("adamw8bit-bnb")')
    optimizer.fill_qmap()
    for weight, state in states.items():
        is_coded = state["state1"].dtype == torch.uint8
        optimizer.state[weight] = {
            **{key: value.to(weight.device) for key, value in state.items() if key != "step"},
            "step": int(state["step"]),
            **(_codes(optimizer, weight) if is_coded else {}),
        }


def _codes(optimizer: Any, weight: Tensor) -> dict[str, Tensor]:
    signed, unsigned = (optimizer.name2qmap[name].to(weight.device) for name in ("dynamic", "udynamic"))
    return {"qmap1": signed, "qmap2": unsigned}
