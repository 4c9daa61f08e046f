"""float32 or bfloat16: what a device computes in, and where bfloat16 would be slow."""

from __future__ import annotations

import platform

import torch

COMPUTE_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

_BFLOAT16_UNITS = ("avx512_bf16", "amx_bf16")
"""Features of x86 processors that multiply bfloat16 numbers faster than float32 numbers."""


def arithmetic(dtype: str, device: torch.device) -> torch.dtype:
    """What a setting means on a device.

    Args:
        dtype: "float32", "bfloat16", or "auto": bfloat16 on devices that have it, elsewhere float32.
        device: The device.
    """
    if dtype == "auto":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    return COMPUTE_DTYPES[dtype]


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device has units for bfloat16, which are faster than those for float32.

    False also for devices of which PyTorch does not tell, such as processors other than x86.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and any(_features().get(unit, False) for unit in _BFLOAT16_UNITS)


def dtype_name(dtype: torch.dtype) -> str:
    """The name of an arithmetic in settings: "float32" or "bfloat16"."""
    return str(dtype).removeprefix("torch.")


def slow_arithmetic(dtype: torch.dtype, device: torch.device) -> str:
    """What to tell a user whose arithmetic is slower than float32; empty if it is not, or if that is unknown."""
    is_known = device.type == "cuda" or (device.type == "cpu" and platform.machine().lower() in ("x86_64", "amd64"))
    if dtype != torch.bfloat16 or not is_known or has_bfloat16(device):
        return ""
    unit = "GPU" if device.type == "cuda" else "processor"
    return f'bfloat16 is many times slower than float32 on this {unit}; the dtype "auto" takes the faster of the two'


def _features() -> dict[str, object]:
    """What the processor can do, by PyTorch's names; empty if this PyTorch does not tell."""
    tells = getattr(torch.cpu, "get_capabilities", dict)
    return dict(tells())
