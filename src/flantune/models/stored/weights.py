"""Checks that weights on disk exist, are complete, and are finite numbers."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open

from flantune.errors import ModelError
from flantune.system.hub_faults import hub_fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sized

    from torch import Tensor, nn
    from transformers import PreTrainedModel

UNREADABLE = (
    OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError, ImportError, SafetensorError,
    StrictDataclassError, OverflowError, struct.error,
)  # fmt: skip
"""Errors that the libraries raise for invalid folders and files."""

CONVERT = (
    "flantune never unpickles weights; convert them once with transformers: "
    "AutoModelForCausalLM.from_pretrained(…).save_pretrained(…)"
)
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
_SHARD = re.compile(r"-\d+-of-\d+\.safetensors")
_FIND = "check model.path; a hub id needs the network or a filled Hugging Face cache"
_IN_FOLDER = "look into the folder: config.json, *.safetensors and the tokenizer's files have to be those of one model"
_IN_FILE = "fetch the file again; its sha256 tells whether it came through whole"


def where_to_look(path: str) -> str:
    """What to do about a model that cannot be loaded; a folder on this machine is not on the hub.

    >>> where_to_look("org/model")
    'check model.path; a hub id needs the network or a filled Hugging Face cache'
    """
    return _IN_FOLDER if Path(path).is_dir() else _IN_FILE if Path(path).is_file() else _FIND


def damaged_file(folder: str) -> Path | None:
    """The first weights file in a folder that cannot be opened."""
    for file in sorted(Path(folder).glob("*.safetensors")):
        try:
            with safe_open(file, "pt") as weights:
                weights.keys()
        except (OSError, ValueError, SafetensorError):
            return file
    return None


def check_stored(path: str) -> None:
    """Checks that a model's folder on this machine has readable weights, from their headers only.

    Args:
        path: The path in the settings; a hub id and a GGUF file pass.

    Raises:
        ModelError: They are pickled, or one of their files is missing or damaged.
    """
    folder = Path(path)
    if not folder.is_dir():
        return
    index = folder / "model.safetensors.index.json"
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()) if index.is_file() else ()
    except (OSError, ValueError, LookupError, AttributeError) as error:
        raise ModelError(f"cannot read the list of its files: {error}", where=str(index), hint=_IN_FOLDER) from error
    for name in sorted(shards):
        if not (folder / name).is_file():
            hint = "copy it there too, or save the model again"
            raise ModelError("a weights file is missing", where=str(folder / name), hint=hint)
    if not any(folder.glob("*.safetensors")):
        hint = CONVERT if any(folder.glob("*.bin")) else "copy them there, or save the model again"
        raise ModelError("cannot load the weights: there is no file *.safetensors", where=path, hint=hint)
    check_whole(path, None)


def check_whole(path: str, error: BaseException | None, *, revision: str | None = None) -> None:
    """Raises ModelError, naming the file, if weights could not be read because one is damaged.

    Args:
        path: A model's folder, or a hub id, whose files are in the cache.
        error: The error of loading them, if it was tried.
        revision: Revision of a hub id.
    """
    folder = path if Path(path).exists() else _cached_folder(path, revision)
    file = damaged_file(folder) if folder else None
    if file is not None:
        raise ModelError(
            f"the weights file is damaged or was cut off: it has {file.stat().st_size:,} bytes, which do not match its "
            "header",
            where=str(file),
            hint="copy or download it again, or save the model again"
            if folder == path
            else "delete this file, so that it is downloaded again; if that does not help, its authors have to fix it",
        ) from error


def check_given(path: str, error: BaseException, *, revision: str | None) -> None:
    """Raises ModelError with reason and remedy if an error means that the hub did not deliver the model."""
    fault = None if Path(path).exists() else hub_fault(error, path, revision=revision)
    if fault is not None:
        where = f"{path}@{revision}" if revision else path
        message = f"cannot be loaded from the Hugging Face hub: {fault.message}"
        raise ModelError(message, where=where, hint=fault.hint) from error


def has_only_pickles(error: BaseException) -> bool:
    """Whether weights could not be loaded because none are safetensors; a missing shard is another case.

    >>> has_only_pickles(OSError("does not appear to have a file named model.safetensors"))
    True
    >>> has_only_pickles(OSError("does not appear to have a file named model-00002-of-00003.safetensors"))
    False
    """
    return "safetensors" in str(error) and not _SHARD.search(str(error))


def _cached_folder(hub_id: str, revision: str | None) -> str:
    """Folder with the files of a hub model on this machine; empty: none."""
    try:
        found = try_to_load_from_cache(hub_id, "config.json", revision=revision)
    except (OSError, ValueError):
        return ""
    return str(Path(found).parent) if isinstance(found, str) else ""


def check_shape(model: PreTrainedModel, info: Mapping[str, Any], *, where: str) -> None:
    """Raises ModelError if a config and its weights belong to different models.

    Args:
        model: The model as it was loaded.
        info: The library's report on loading: ``missing_keys``, ``mismatched_keys``, ``unexpected_keys``.
        where: Its folder, file or hub id.
    """
    together = "use the config.json that came with the weights"
    if wrong := sorted(info["mismatched_keys"]):
        name, stored, expected = wrong[0]
        raise ModelError(
            f"{_counted(wrong, 'has', 'have')} another shape than the config says, such as {name}: {tuple(stored)}, "
            f"expected {tuple(expected)}",
            where=where,
            hint=together,
        )
    if missing := sorted(info["missing_keys"]):
        raise ModelError(
            f"{_counted(missing, 'is', 'are')} missing, such as {missing[0]}",
            where=where,
            hint="use a checkpoint with a language-model head of this architecture",
        )
    if left_out := _left_out(model, info["unexpected_keys"]):
        raise ModelError(
            f"{_counted(left_out, 'would', 'would')} be left out, since the config has no place for them, such as "
            f"{left_out[0]}",
            where=where,
            hint=together,
        )


def _counted(names: Sized, one: str, more: str) -> str:
    return f"1 weight {one}" if len(names) == 1 else f"{len(names)} weights {more}"


def _left_out(model: PreTrainedModel, unexpected: Iterable[str]) -> list[str]:
    """Ignored weights that belong to the model's own parts: another layer, or the bias of one of its matrices.

    Entire other parts (a vision tower, a head for another task, layers that predict several tokens) may be ignored.
    """
    if getattr(model.config.get_text_config(), "num_nextn_predict_layers", None):
        return []
    own = set(model.state_dict())
    alike = {_NUMBER.sub("#", name) for name in own}
    return sorted(
        name
        for name in unexpected
        if _NUMBER.sub("#", name) in alike or (name.endswith(".bias") and f"{name.removesuffix('.bias')}.weight" in own)
    )


def first_bad(weights: Iterable[tuple[str, Tensor]]) -> str | None:
    """The name of the first weight with an entry that is not a finite number; None: all are finite."""
    for name, weight in weights:
        if not weight.is_floating_point() or not weight.numel():
            continue
        # One pass and no copy: NaN and infinity propagate to the maximum and the minimum.
        if not torch.stack(weight.detach().aminmax()).isfinite().all():
            return name
    return None


def check_numbers(model: nn.Module, *, where: str) -> None:
    """Raises ModelError for weights that are not finite: nothing computed with them would be meaningful."""
    name = first_bad(model.named_parameters())
    if name is not None:
        raise ModelError(
            f"the weight {name} holds entries that are not finite numbers (NaN or infinite)",
            where=where,
            hint="use a checkpoint from before its training went wrong, or copy it again",
        )
