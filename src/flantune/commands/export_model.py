"""A tuned model in other forms: one ordinary folder with adapters added to its weights, or one GGUF file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from flantune.contamination.record_files import copy_record, record_files
from flantune.errors import ModelError
from flantune.models.adapters import merged
from flantune.models.load import load_model, save_model
from flantune.models.stored.gguf import write_gguf
from flantune.models.stored.gguf_reading import is_gguf
from flantune.settings.config import ModelSettings
from flantune.system.files import is_there, read_text
from flantune.system.progress import Reporter, Silent

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel

Stored = Literal["float32", "bfloat16"]
# The card of an adapter says how peft loads it.
_LOADING = re.compile(r"^## To load it\n.*?(?=^## |\Z)", flags=re.MULTILINE | re.DOTALL)


def export_model(model: Path, out: Path, *, dtype: Stored = "float32", reporter: Reporter | None = None) -> Path:
    """Writes a model with its adapter, if any, added to its weights, with card and training record.

    Args:
        model: Its folder: a whole model, or low-rank adapters, whose base model must be in the same place.
        out: The folder to write, completely or not at all.
        dtype: How weights are stored. In bfloat16 they are rounded.
        reporter: Gets the progress.

    Raises:
        ModelError: There is something at ``out``, the model cannot be read, or its adapter cannot be merged.
    """
    told = reporter or Silent()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ModelError("already exists, and nothing is overwritten", where=str(out), hint="choose another --out")
    told.stage(f"load the model {model}")
    lm = load_model(ModelSettings(path=str(model), device="cpu"))
    if lm.adapter is not None:
        told.stage("add its adapter to its weights")
        lm = _merged(lm)
    if dtype == "bfloat16":
        torch.nn.Module.to(lm.model, dtype=torch.bfloat16)
    told.stage(f"write {out}")
    return save_model(lm, out, card=_card(model), beside=lambda draft: copy_record(model, draft))


def export_gguf(model: Path, out: Path, *, like: Path, kind: str = "bf16", reporter: Reporter | None = None) -> Path:
    """Writes a model as a GGUF file, with its training record beside it; see ``write_gguf``.

    Args:
        model: Its folder.
        out: The file to write, completely or not at all.
        like: The GGUF file that the model was tuned from.
        kind: How weights are stored.
        reporter: Gets the progress.

    Raises:
        ModelError: There is something at ``out``, or the model cannot be read or written.
    """
    told = reporter or Silent()
    if not is_gguf(out):
        raise ModelError("is not the name of a GGUF file", where=str(out), hint="it ends in .gguf")
    taken = next((path for path in (out, *record_files(out)) if is_there(path)), None)
    if taken is not None:
        raise ModelError("already exists, and nothing is overwritten", where=str(taken), hint="choose another --out")
    told.stage(f"read {model}")
    lm = load_model(ModelSettings(path=str(model), device="cpu"))
    told.stage("write the file, then read it back to compare")
    out.parent.mkdir(parents=True, exist_ok=True)
    copied = copy_record(model, out)  # before the file, which is never there without them
    try:
        return write_gguf(lm, out, like=like, kind=kind)
    except BaseException:
        for path in copied:
            path.unlink(missing_ok=True)
        raise


def _merged(lm: LanguageModel) -> LanguageModel:
    ends = lm.model.generation_config
    whole = merged(lm)
    whole.model.generation_config = ends
    return whole


def _card(model: Path) -> str:
    """The model's card, changed to that of a whole model; empty if it has none."""
    path = model / "README.md"
    if not path.is_file():
        return ""
    text = read_text(path, error=ModelError, what="card")
    return _LOADING.sub("", text.replace("library_name: peft", "library_name: transformers", 1))
