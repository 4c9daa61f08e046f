"""Which weights a model has, in a few characters."""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


def weights_digest(model: nn.Module, *, frozen_only: bool = False) -> str:
    """A name for a model's weights by content: the same in another folder, another for one changed bit.

    Args:
        model: Its parameters count, not its buffers.
        frozen_only: Only those that tuning leaves as they are.

    Returns:
        32 hexadecimal digits; none where no weight counts.
    """
    digest, count = hashlib.sha256(), 0
    for name, weight in model.named_parameters():
        if not (frozen_only and weight.requires_grad):
            # A checksum a tensor, since it is several times as fast as the digest, and changes are not malicious.
            digest.update(f"{name} {tuple(weight.shape)} {weight.dtype} {zlib.crc32(_content(weight)):08x}\n".encode())
            count += 1
    return digest.hexdigest()[:32] if count else ""


def _content(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    content: memoryview = flat.numpy().data
    return content
