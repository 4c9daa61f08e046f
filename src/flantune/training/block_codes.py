"""Float32 tensors in one byte per value: each block of a row has a scale, and each value one of 256 codes.

Blocks never cross the border between two rows. So rows can be divided among processes in any way, and redistributed in
any other, without any code changing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

LARGEST_BLOCK = 256
SMALLEST_BLOCK = 64
MIN_SIZE = 4_096
_DECADES = 7
_TOP_BITS = 17
"""Sign, exponent and eight bits of the fraction: numbers that share them span at most one border between codes."""


def block_size(shape: torch.Size) -> int | None:
    """Values per scale; None for tensors not worth quantizing, or whose rows cannot be divided evenly.

    >>> [block_size(torch.Size(shape)) for shape in ((64, 1024), (1000, 576), (4096,), (10, 10), (6000, 8), (50, 257))]
    [256, 192, None, None, None, None]
    """
    if len(shape) < 2 or shape.numel() < MIN_SIZE:
        return None
    row = shape[-1]
    fewest, most = math.ceil(row / LARGEST_BLOCK), row // SMALLEST_BLOCK
    return next((row // blocks for blocks in range(fewest, most + 1) if row % blocks == 0), None)


def dynamic_values(*, is_signed: bool) -> list[float]:
    """The values of the 256 codes: dense near one, and over seven decades never more than a few percent apart.

    Args:
        is_signed: Whether half of the codes are for negative values.

    Paper: Dettmers et al. 2021, section 1.3 (dynamic tree quantization) and 2.2 (without a sign).
    """
    found = [0.0, 1.0]
    for decade in range(_DECADES):
        count = 2**decade * (1 if is_signed else 2)
        scale = 10.0 ** (decade + 1 - _DECADES)
        found += [scale * (0.1 + 0.9 * (number + 0.5) / count) for number in range(count)]
    return sorted(found + ([-value for value in found[2:]] if is_signed else []))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodeBook:
    """256 values, and tables that give the nearest one without a search.

    Attributes:
        values: By code, ascending.
        lowest: By the top bits of a float32: the code of the smallest number with these bits.
        borders: By the same bits: numbers above this one have the next code.
    """

    values: Tensor
    lowest: Tensor
    borders: Tensor

    def decode(self, codes: Tensor, scales: Tensor) -> Tensor:
        """The values of rows of codes; ``scales`` has one value per block."""
        found = self.values.index_select(0, codes.reshape(-1).to(torch.int32))
        return found.view(*scales.shape, -1).mul_(scales[..., None]).view(codes.shape)

    def encode_(self, values: Tensor, codes: Tensor, scales: Tensor) -> None:
        """Writes the codes and scales of rows of values in place."""
        blocks = values.view(*scales.shape, -1)
        scales.copy_(blocks.abs().amax(dim=-1))
        ratios = (blocks / scales.clamp(min=torch.finfo(torch.float32).tiny)[..., None]).view(-1)
        top = (ratios.view(torch.int32) >> (32 - _TOP_BITS)).bitwise_and_(2**_TOP_BITS - 1)
        found = self.lowest.index_select(0, top).add_(ratios > self.borders.index_select(0, top))
        codes.copy_(found.view(codes.shape))


@cache
def code_book(*, is_signed: bool, device: torch.device) -> CodeBook:
    """The codes for first moments (signed) or second moments.

    A second moment above zero never becomes zero: a step divides by its root, and with a nonzero first moment it would
    be huge.
    """
    values = torch.tensor(dynamic_values(is_signed=is_signed), dtype=torch.float64)
    borders = (values[1:] + values[:-1]) / 2
    if not is_signed:
        borders[0] = 0.0
    borders = torch.cat([borders.float(), torch.tensor([math.inf])])
    begins = torch.arange(2**_TOP_BITS, dtype=torch.int64) << (32 - _TOP_BITS)
    # The top bit is the sign, and among negative numbers those with more bits set are smaller.
    is_negative = begins >= 2**31
    smallest = torch.where(is_negative, begins | (2 ** (32 - _TOP_BITS) - 1), begins)
    numbers = smallest.to(torch.int32).view(torch.float32).nan_to_num(0.0).clamp(-1.0, 1.0)
    lowest = torch.bucketize(numbers, borders)
    return CodeBook(
        values=values.float().to(device), lowest=lowest.to(torch.uint8).to(device), borders=borders[lowest].to(device)
    )
