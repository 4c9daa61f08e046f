"""When memory runs out: PyTorch has one error for accelerators, and another, told by its text alone, elsewhere."""

from __future__ import annotations

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on an accelerator or in the machine.

    >>> is_out_of_memory(RuntimeError("can't allocate memory")), is_out_of_memory(RuntimeError("something else"))
    (True, False)
    """
    is_one = isinstance(error, torch.OutOfMemoryError | MemoryError)
    text = str(error).lower()
    return is_one or (isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text))
