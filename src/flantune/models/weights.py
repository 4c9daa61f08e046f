"""Weights as they lie on disk and as they should be: there, whole, and numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open

from flantune.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn

UNREADABLE = (
    OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError, ImportError, SafetensorError,
    StrictDataclassError,
)  # fmt: skip
"""What the libraries raise for folders and files that are not what they should be."""

_FIND = "check model.path; a hub id needs the network or a filled Hugging Face cache"
_IN_FOLDER = "look into the folder: config.json, *.safetensors and the tokenizer's files have to be those of one model"
_IN_FILE = "fetch the file again; its sha256 tells whether it came through whole"


def where_to_look(path: str) -> str:
    """What to do about a model that cannot be loaded; of a folder on this machine the hub knows nothing.

    >>> where_to_look("org/model")
    'check model.path; a hub id needs the network or a filled Hugging Face cache'
    """
    return _IN_FOLDER if Path(path).is_dir() else _IN_FILE if Path(path).is_file() else _FIND


def damaged_file(folder: str) -> Path | None:
    """The first file of weights in a folder that cannot be opened as one."""
    for file in sorted(Path(folder).glob("*.safetensors")):
        try:
            with safe_open(file, "pt") as weights:
                weights.keys()
        except (OSError, ValueError, SafetensorError):
            return file
    return None


def check_whole(folder: str, error: BaseException) -> None:
    """Raises ModelError, naming the file, where weights could not be read since one is damaged."""
    file = damaged_file(folder)
    if file is not None:
        raise ModelError(
            f"the file of weights is damaged or was cut off: it has {file.stat().st_size:,} bytes, and its header does "
            "not fit them",
            where=str(file),
            hint="copy or download it again, or save the model again",
        ) from error


def first_bad(weights: Iterable[tuple[str, Tensor]]) -> str | None:
    """The name of the first weight with an entry that is no finite number; None: all are numbers."""
    for name, weight in weights:
        if not weight.is_floating_point() or not weight.numel():
            continue
        # One pass and no copy: what is not a number, or infinite, comes through to the largest and the least.
        if not torch.stack(weight.detach().aminmax()).isfinite().all():
            return name
    return None


def check_numbers(model: nn.Module, *, where: str) -> None:
    """Raises ModelError for weights that are not numbers: whatever is written or scored with them means nothing."""
    name = first_bad(model.named_parameters())
    if name is not None:
        raise ModelError(
            f"the weight {name} holds entries that are not finite numbers (NaN or infinite)",
            where=where,
            hint="use a checkpoint from before its training went wrong, or copy it again",
        )
