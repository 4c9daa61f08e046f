"""Arrays on their way to the device: an accelerator is sent them, and nobody waits for their arrival."""

from __future__ import annotations

import torch
from torch import Tensor


def on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on a device.

    What is sent from ordinary memory arrives only after all that the accelerator was told before, and the program
    waits for it; from pinned memory it is sent while both go on.
    """
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
