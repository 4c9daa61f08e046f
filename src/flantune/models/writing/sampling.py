"""The next token of each row: the most likely one, or one drawn with a keyed random number."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
import torch

from flantune.system.keyed_random import GOLDEN, MASK, mix64, stream_key

if TYPE_CHECKING:
    from torch import Tensor

    from flantune.types import Int32


def draw_key(seed: int, prompt: Int32, sample: int) -> int:
    """The random stream of one sample of one prompt, keyed by the prompt's tokens and independent of other prompts.

    >>> tokens = np.array([5, 6], dtype=np.int32)
    >>> draw_key(0, tokens, 1) == draw_key(0, tokens.copy(), 1), draw_key(0, tokens, 1) == draw_key(0, tokens, 2)
    (True, False)
    """
    words = blake2b(np.ascontiguousarray(prompt, dtype="<i4").tobytes(), digest_size=8).digest()
    return mix64(stream_key(seed, "samples"), int.from_bytes(words, "little"), sample)


def choose_tokens(logits: Tensor, *, temperature: float, keys: Sequence[int]) -> list[int]:
    """One token per row.

    At temperature 0, the most likely token; otherwise the maximum of logit / temperature plus Gumbel noise, which is a
    draw from the softmax. The noise of a row depends only on its key, so neither the other rows of the batch nor their
    order change the draw (up to float precision of the logits).

    Args:
        logits: [rows, vocabulary].
        temperature: 0 or more.
        keys: The random number of each row's next token; unused at temperature 0.
    """
    if temperature > 0.0:
        logits = gumbel(keys, logits.shape[1], device=logits.device).add_(logits.double() / temperature)
    chosen: list[int] = logits.argmax(dim=-1).tolist()
    return chosen


def gumbel(keys: Sequence[int], size: int, *, device: torch.device) -> Tensor:
    """Gumbel noise, [len(keys), size], float64: entry (i, j) is a function of ``keys[i]`` and j.

    >>> cpu = torch.device("cpu")
    >>> bool((gumbel([7, 8], 4, device=cpu)[1] == gumbel([8], 4, device=cpu)[0]).all())
    True
    """
    start = torch.tensor([_signed(key) for key in keys], dtype=torch.int64, device=device)[:, None]
    steps = torch.arange(1, size + 1, dtype=torch.int64, device=device)[None, :].mul_(_signed(GOLDEN))
    bits = _scramble(start + steps)
    uniform = _shift(bits, 11).double().add_(0.5).mul_(2.0**-53)
    return uniform.log_().neg_().log_().neg_()


def _scramble(value: Tensor) -> Tensor:
    """``system.keyed_random.scramble`` on 64-bit integers that wrap around, one for each entry, in place."""
    other = torch.empty_like(value)
    value.bitwise_xor_(_shift(value, 30, out=other)).mul_(_signed(0xBF58476D1CE4E5B9))
    value.bitwise_xor_(_shift(value, 27, out=other)).mul_(_signed(0x94D049BB133111EB))
    return value.bitwise_xor_(_shift(value, 31, out=other))


def _shift(value: Tensor, places: int, *, out: Tensor | None = None) -> Tensor:
    """A right shift that fills with zeros, as for unsigned numbers; into ``out``, or in place."""
    shifted = torch.bitwise_right_shift(value, places, out=value if out is None else out)
    return shifted.bitwise_and_((1 << (64 - places)) - 1)


def _signed(word: int) -> int:
    """An unsigned 64-bit number as torch's signed one.

    >>> _signed(MASK), _signed(5)
    (-1, 5)
    """
    word &= MASK
    return word - (1 << 64) if word >> 63 else word
