"""Where a model is: its folder, and the folder of an adapter's base model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.errors import ModelError
from flantune.models.stored.gguf_reading import is_gguf
from flantune.system.files import MENDS, read_json

if TYPE_CHECKING:
    from flantune.settings.config import ModelSettings

ADAPTER_CONFIG = "adapter_config.json"
_PLACES = ("model", "*/model", "folds/*/model", "*")
"""Where a model may be below a folder given by mistake: a run folder, a fold, a folder of models."""


def require_path(settings: ModelSettings, *, wanted: str = "config.json") -> None:
    """Raises ModelError if the settings name no model, or something that is not a model; see ``check_folder``."""
    if not settings.path:
        raise ModelError(
            "no model to load", where="model.path", hint="set model.path to a folder or hub id, or use model.scratch"
        )
    check_folder(settings.path, wanted=wanted)


def base_of(settings: ModelSettings) -> ModelSettings:
    """Settings for loading the base model of an adapter's folder."""
    folder = Path(settings.path)
    adapter = read_adapter_config(folder)
    path = str(adapter["base_model_name_or_path"])
    hint = f'set "base_model_name_or_path" in {folder / ADAPTER_CONFIG} to where it is now'
    if Path(path).resolve() == folder.resolve():
        raise ModelError("the adapter names itself as its base model", where=settings.path, hint=hint)
    try:
        check_folder(path, wanted=ADAPTER_CONFIG if is_adapter_folder(path) else "config.json")
    except ModelError as error:
        message = f"the adapter's base model is missing: {path}: {error.message}"
        raise ModelError(message, where=settings.path, hint=hint) from None
    return settings.model_copy(update={"path": path, "revision": adapter.get("revision")})


def check_folder(path: str, *, wanted: str = "config.json") -> None:
    """Raises ModelError if a path exists on this machine and is not a model's folder.

    Args:
        path: The path in the settings; a hub id that is not also a folder passes.
        wanted: The file that identifies a model's folder; empty: any folder passes.
    """
    place = Path(path)
    if is_gguf(path):
        if not place.is_file():
            raise ModelError("no such GGUF file", where=path, hint="check the path; GGUF files end in .gguf")
        return
    if place.is_file():
        raise ModelError("is a file, expected a model's folder", where=path, hint=f'set model.path = "{place.parent}"')
    if not place.is_dir():
        # A hub id has one slash at most.
        if path.startswith(("/", ".", "~")) or path.count("/") > 1:
            hint = "a model is a folder, a .gguf file, or a hub id such as google/flan-t5-small"
            raise ModelError("no such model folder", where=path, hint=hint)
        return
    if wanted and not (place / wanted).is_file():
        below = [found.parent for pattern in _PLACES for found in sorted(place.glob(f"{pattern}/{wanted}"))]
        hint = f'did you mean "{below[0]}"?' if below else "name the folder that holds config.json and the weights"
        raise ModelError(f"this folder holds no model: there is no {wanted} in it", where=path, hint=hint)


def is_adapter_folder(path: str) -> bool:
    """Whether a folder holds an adapter rather than a whole model."""
    return bool(path) and (Path(path) / ADAPTER_CONFIG).is_file()


def read_adapter_config(folder: Path) -> dict[str, Any]:
    """The configuration in an adapter's folder.

    Raises:
        ModelError: It cannot be read, or does not name a base model.
    """
    found: dict[str, Any] = read_json(folder / ADAPTER_CONFIG, error=ModelError)
    if not isinstance(found, dict):
        raise ModelError("should be a JSON object", where=str(folder / ADAPTER_CONFIG), hint=MENDS)
    if not found.get("base_model_name_or_path"):
        hint = f'set "base_model_name_or_path" in {ADAPTER_CONFIG} to the folder or hub id of the base model'
        raise ModelError("the adapter does not say what its base model is", where=str(folder), hint=hint)
    return found
