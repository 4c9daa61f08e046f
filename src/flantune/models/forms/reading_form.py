"""The state in which a model is read, and its name by content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from flantune.models.forms.exchange import lean_operations
from flantune.models.rope import calm

if TYPE_CHECKING:
    from flantune.models.load import LanguageModel


# What a config says about how it came here, and about training and writing.
_NAMING = {
    "architectures",
    "dtype",
    "torch_dtype",
    "name_or_path",
    "transformers_version",
    "use_cache",
    "tie_word_embeddings",
    "scale_decoder_outputs",
}


@contextmanager
def scoring_mode(lm: LanguageModel) -> Iterator[None]:
    """No dropout and no gradients while scoring, small operations in lean forms; afterwards all is as it was."""
    training = [module for module in lm.model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        with torch.no_grad(), lean_operations(lm):
            yield
    finally:
        for module in training:
            module.training = True


def model_fingerprint(lm: LanguageModel) -> str:
    """A name for the model by content: weights, buffers, config, arithmetic and tokenizer.

    The config's own name, path and library version do not count, so a copy in another folder has the same name.
    """
    digest = hashlib.sha256(f"{lm.family} {lm.compute_dtype}".encode())
    with torch.no_grad():
        # Buffers of rotary positions may still be those of the longest prompt that was read.
        calm(lm)
        for name, tensor in [*lm.model.named_parameters(), *lm.model.named_buffers()]:
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).cpu().numpy().data)
    digest.update(_config_text(lm).encode("utf-8"))
    digest.update(_tokenizer_text(lm).encode("utf-8"))
    return digest.hexdigest()


def _config_text(lm: LanguageModel) -> str:
    settings = lm.model.config.to_dict()
    kept = {key: value for key, value in settings.items() if not key.startswith("_") and key not in _NAMING}
    return json.dumps(kept, sort_keys=True, default=str)


def _tokenizer_text(lm: LanguageModel) -> str:
    backend = getattr(lm.tokenizer, "backend_tokenizer", None)
    return backend.to_str() if backend is not None else str(sorted(lm.tokenizer.get_vocab().items()))
