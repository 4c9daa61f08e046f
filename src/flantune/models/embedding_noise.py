"""NEFTune: uniform noise on the embeddings of prompts during tuning, independent of how prompts are packed.

The noise of an element is a hash of the step, the prompt's index in it, the token's position and the dimension. As
nothing is drawn in sequence, rows, micro-batches, processes and interruptions do not change it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from flantune.errors import ConfigError, ModelError
from flantune.models.transfer import on_device
from flantune.system.keyed_random import GOLDEN, mix64

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from flantune.models.attention.lines import Line
    from flantune.models.language_model import LanguageModel
    from flantune.packing.packs import DecoderPack
    from flantune.types import Family

# The rounds of ``keyed_random.scramble``: shift right, exclusive or, multiply.
_ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST_SHIFT = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingNoise:
    """The noise of one step.

    Attributes:
        alpha: The scale: noise is in ±alpha / √(tokens of the prompt × width of the embeddings).
        key: Key of the noise; it differs at each step.
    """

    alpha: float
    key: int


def check_noise(alpha: float, family: Family) -> None:
    """Raises ConfigError if noise is set for a kind of model that does not support it."""
    if alpha and family == "encoder-decoder":
        hint = "set training.neftune_alpha = 0; training.dropout is what T5 models are tuned with"
        raise ConfigError("NEFTune is for decoder-only models", where="training.neftune_alpha", hint=hint)


@contextmanager
def noisy(
    lm: LanguageModel, noise: EmbeddingNoise | None, pack: DecoderPack, line: Line | None = None
) -> Iterator[None]:
    """Within the block, the model embeds a pack, and its embeddings get noise, except padding.

    Args:
        lm: The model; decoder-only.
        noise: The noise; None leaves the embeddings unchanged.
        pack: The embedded pack, with one continuation per prompt.
        line: The flat line of its rows; None: rows as they are.

    Raises:
        ModelError: The model does not embed its tokens in its input embeddings.

    Paper: Jain et al. 2023 (NEFTune), algorithm 1.
    """
    if noise is None:
        yield
        return
    met: list[bool] = []

    def add(_: Any, __: Any, output: Tensor) -> Tensor:
        starts, scales = _places(noise, pack, width=output.shape[-1])
        if line is not None:
            starts, scales = (_in_line(values, pack, line) for values in (starts, scales))
        if output.shape[:-1].numel() != starts.size:
            message = "the model embeds other tokens than it is given"
            raise ModelError(message, where="training.neftune_alpha", hint=_HINT)
        met.append(True)
        first = on_device(torch.from_numpy(starts.reshape(-1)), output.device)
        scale = on_device(torch.from_numpy(scales.reshape(-1, 1)), output.device)
        return output + (uniform(first, output.shape[-1]) * scale).view(output.shape).to(output.dtype)

    handle = lm.model.get_input_embeddings().register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()
    if not met:
        raise ModelError("the model does not use its input embeddings", where="training.neftune_alpha", hint=_HINT)


_HINT = "set training.neftune_alpha = 0: this model does not support noise"


def uniform(starts: Tensor, width: int) -> Tensor:
    """Uniform numbers from −1 to 1, float32, [n, width]; row i uses the counters from ``starts[i]`` on.

    A counter gives two numbers: the halves of SplitMix64's 64 bits.
    """
    counters = starts[:, None] + torch.arange(-(-width // 2), device=starts.device)
    bits = counters.mul_(_signed(GOLDEN))
    for shift, factor in _ROUNDS:
        bits.bitwise_xor_(_shifted(bits, shift)).mul_(_signed(factor))
    bits.bitwise_xor_(_shifted(bits, _LAST_SHIFT))
    return bits.view(torch.int32)[:, :width].float().mul_(2.0**-31)


def _places(noise: EmbeddingNoise, pack: DecoderPack, *, width: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """First counter and scale of each position of a pack, [rows, length]; the scale of padding is 0."""
    segments, asked = pack.segments, pack.targets
    shape = (len(segments), int(segments.max(initial=0)) + 1)
    lengths, keys = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.uint64)
    rows = np.arange(len(segments))[:, None]
    np.add.at(lengths, (rows, segments), 1)
    row, segment = asked.row, segments[asked.row, asked.position]
    _, firsts = np.unique(row * shape[1] + segment, return_index=True)
    numbers = [mix64(noise.key, item) for item in asked.item[firsts].tolist()]
    keys[row[firsts], segment[firsts]] = np.array(numbers, dtype=np.uint64)
    counters = keys[rows, segments] + pack.positions.astype(np.uint64) * np.uint64(-(-width // 2))
    scales = noise.alpha / np.sqrt(np.maximum(lengths, 1) * width)
    return counters.view(np.int64), np.where(segments > 0, scales[rows, segments], 0.0).astype(np.float32)


def _in_line(values: NDArray[Any], pack: DecoderPack, line: Line) -> NDArray[Any]:
    found = np.zeros(len(line.tokens), dtype=values.dtype)
    is_real = pack.segments > 0
    found[line.index[is_real]] = values[is_real]
    return found


def _shifted(bits: Tensor, by: int) -> Tensor:
    """Shifted right, with zeros from the left."""
    return (bits >> by).bitwise_and_((1 << (64 - by)) - 1)


def _signed(number: int) -> int:
    """An unsigned 64-bit number as the signed one that tensors hold."""
    return number - (1 << 64) if number >> 63 else number
