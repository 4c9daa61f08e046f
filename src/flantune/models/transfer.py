"""Copies arrays to the device; on an accelerator, without waiting for the copy."""

from __future__ import annotations

import torch
from torch import Tensor


def on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A CPU tensor, copied to a device.

    A copy from pageable memory waits until the accelerator has finished its earlier work, and blocks the program; a
    copy from pinned memory runs while both continue.
    """
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
