"""Identifies a model by content: a short digest, the same in any folder and different if one bit changes."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import TYPE_CHECKING

import torch

from flantune.models.language_model import ATTENTION_KEY
from flantune.models.rope import forget_lengths

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

    from flantune.models.language_model import LanguageModel

_NAMING = {
    "architectures",
    "dtype",
    "torch_dtype",
    "name_or_path",
    "transformers_version",
    "use_cache",
    "tie_word_embeddings",
    "scale_decoder_outputs",
    ATTENTION_KEY,
}
"""Keys of a config about its origin, training and generation, which do not count."""


def weights_digest(model: nn.Module, *, frozen_only: bool = False) -> str:
    """A digest of a model's weights, without its buffers.

    Args:
        model: The model.
        frozen_only: Include only weights that tuning does not change.

    Returns:
        32 hexadecimal digits; empty if no weight counts.
    """
    counted = [one for one in model.named_parameters() if not (frozen_only and one[1].requires_grad)]
    return _digest(counted) if counted else ""


def model_fingerprint(lm: LanguageModel) -> str:
    """A digest of everything a model's answers depend on: weights, buffers, config, arithmetic and tokenizer.

    The config's name, path and library version do not count, so a copy in another folder has the same digest.
    """
    with torch.no_grad():
        # Buffers of rotary positions may still be those of the longest prompt read so far.
        forget_lengths(lm)
    tensors = _digest([*lm.model.named_parameters(), *lm.model.named_buffers()])
    text = "\n".join([lm.family, str(lm.compute_dtype), tensors, _config_text(lm), tokenizer_text(lm.tokenizer)])
    text += "\nprefix attention" if lm.reads_both_ways else ""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    digest = hashlib.sha256()
    for name, tensor in tensors:
        # A checksum per tensor, which is several times as fast as the digest; changes are not malicious.
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} {zlib.crc32(_content(tensor)):08x}\n".encode())
    return digest.hexdigest()[:32]


def _content(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    content: memoryview = flat.numpy().data
    return content


def _config_text(lm: LanguageModel) -> str:
    settings = lm.model.config.to_dict()
    kept = {key: value for key, value in settings.items() if not key.startswith("_") and key not in _NAMING}
    return json.dumps(kept, sort_keys=True, default=str)


def tokenizer_text(tokenizer: PreTrainedTokenizerBase) -> str:
    """Everything that determines a tokenizer's ids, as text; without a Rust tokenizer, its vocabulary."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return backend.to_str() if backend is not None else str(sorted(tokenizer.get_vocab().items()))
