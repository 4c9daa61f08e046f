"""Work for a machine that has nothing: random models, and prompts of random ids as long as real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from flantune.packing.packs import Counts, EncodedPrompt
from flantune.packing.stream import EncodedDraw
from flantune.types import Family

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

    from flantune.models.language_model import LanguageModel

MAX_INPUT_TOKENS, MAX_TARGET_TOKENS, ROW_TOKENS = 448, 256, 512
SEED = 20_261_130
SPECIAL = ("<pad>", "</s>", "<unk>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How large a model is."""

    architecture: str
    vocabulary: int
    width: int
    layers: int
    heads: int


TINY = {
    "llama": Shape(architecture="llama", vocabulary=512, width=64, layers=2, heads=4),
    "t5": Shape(architecture="t5", vocabulary=512, width=64, layers=2, heads=4),
}
MIDDLE = {
    "llama": Shape(architecture="llama", vocabulary=8_192, width=512, layers=6, heads=8),
    "t5": Shape(architecture="t5", vocabulary=8_192, width=512, layers=6, heads=8),
}
LARGE = {
    # 0.9 billion weights as Llama has them, and T5-large.
    "llama": Shape(architecture="llama", vocabulary=32_000, width=2_048, layers=16, heads=16),
    "t5": Shape(architecture="t5", vocabulary=32_000, width=1_024, layers=24, heads=16),
}


def model(shape: Shape, device: torch.device, *, dtype: str = "float32") -> LanguageModel:
    """A random model, made on the device."""
    import torch

    from flantune.models.scratch import build_model
    from flantune.settings.config import ScratchSettings

    scratch = ScratchSettings(
        architecture=shape.architecture,  # type: ignore[arg-type]
        hidden_size=shape.width,
        layers=shape.layers,
        heads=shape.heads,
    )
    with torch.device(device):
        return build_model(
            scratch, tokenizer(shape.vocabulary), seed=1, compute_dtype=getattr(torch, dtype), device=device
        )  # fmt: skip


@cache
def tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """A tokenizer of made-up words, one token each."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = [*SPECIAL, *(f"w{number}" for number in range(vocabulary - len(SPECIAL)))]
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>"))  # type: ignore[attr-defined]
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    wrapped: Any = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    found: PreTrainedTokenizerFast = wrapped
    return found


@cache
def prompts(vocabulary: int, count: int) -> tuple[EncodedPrompt, ...]:
    """Prompts whose lengths are drawn as those of the training benchmarks' real rows lie: short and long targets."""
    drawn = np.random.default_rng(SEED)
    read = np.clip(drawn.lognormal(4.6, 0.65, count), 8, MAX_INPUT_TOKENS).astype(int)
    is_short = drawn.random(count) < 0.6
    long = np.clip(drawn.lognormal(3.6, 0.6, count), 8, MAX_TARGET_TOKENS).astype(int)
    written = np.where(is_short, drawn.integers(2, 5, count), long)
    return tuple(
        EncodedPrompt(
            inputs=ids(drawn, vocabulary, min(int(a), ROW_TOKENS - int(b))),
            targets=(np.append(ids(drawn, vocabulary, int(b) - 1), np.int32(1)),),
        )
        for a, b in zip(read, written, strict=True)
    )


def ids(drawn: np.random.Generator, vocabulary: int, count: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Random ids of words."""
    return drawn.integers(len(SPECIAL), vocabulary, count).astype(np.int32)


def requests(vocabulary: int, count: int, *, shared: int = 0) -> list[EncodedPrompt]:
    """Questions with four options of one to six tokens; ``shared``: tokens that all contexts start with."""
    drawn = np.random.default_rng(SEED)
    start = ids(drawn, vocabulary, shared)
    lengths = np.clip(drawn.lognormal(4.3, 0.5, count), 12, 300).astype(int)
    return [
        EncodedPrompt(
            inputs=np.concatenate([start, ids(drawn, vocabulary, int(length))]),
            targets=tuple(ids(drawn, vocabulary, int(size)) for size in drawn.integers(1, 7, 4)),
        )
        for length in lengths
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeUpStream:
    """The prompts as a stream that begins anew at its end."""

    prompts: Sequence[EncodedPrompt]
    family: Family
    pad_token: int = 0

    def draws(self, first: int, count: int) -> list[EncodedDraw]:
        """``count`` draws from number ``first`` on."""
        found = []
        for at in range(first, first + count):
            prompt = self.prompts[at % len(self.prompts)]
            counts = Counts(input_tokens=len(prompt.inputs), target_tokens=len(prompt.targets[0]))
            found.append(EncodedDraw(prompt=prompt, counts=counts, task="made up", row=at, next=at + 1))
        return found
