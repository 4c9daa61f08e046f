"""Whether a model has a chat template, as far as that is known without the network."""

from __future__ import annotations

from pathlib import Path

from flantune.errors import ModelError

_CONFIGS = ("tokenizer_config.json", "chat_template.json")
_TEMPLATE = "chat_template.jinja"


def has_chat_template(model: str) -> bool | None:
    """Whether a folder, a GGUF file, or a hub's model that was fetched before has a chat template; None: unknown."""
    path = Path(model)
    if not model:
        return False
    if path.is_dir():
        return (path / _TEMPLATE).is_file() or any(_says_template(path / name) for name in _CONFIGS)
    if path.is_file():
        return _gguf_has_template(path)
    return _cached_has_template(model)


def chat_note(model: str, *, has_template: bool | None) -> str:
    """What the run file says about the template, and what to change."""
    if has_template:
        return f"{model}: its chat template is used; chat = false under [prompts] in run.toml turns it off"
    if has_template is None:
        why = "whether it has a chat template is not known here, so chat = false"
        return f"{model}: {why}; if it has one, write under [prompts] in run.toml: chat = true"
    return f"{model}: has no chat template, so chat = false"


def _says_template(config: Path) -> bool:
    return config.is_file() and '"chat_template"' in config.read_text(encoding="utf-8", errors="replace")


def _gguf_has_template(path: Path) -> bool | None:
    from flantune.models.stored.gguf_reading import open_gguf

    try:
        return "tokenizer.chat_template" in open_gguf(path).fields
    except ModelError:
        return None  # a damaged file, or the package that reads it is missing: `flantune check` says so


def _cached_has_template(model: str) -> bool | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = {name: try_to_load_from_cache(model, name) for name in (_TEMPLATE, *_CONFIGS)}
    except HFValidationError:
        return None
    if isinstance(found[_TEMPLATE], str):
        return True
    configs = [Path(place) for name in _CONFIGS if isinstance(place := found[name], str)]
    if any(map(_says_template, configs)):
        return True
    # The template may be a file of its own, which is known to be missing only once it was looked for.
    return False if configs and found[_TEMPLATE] is not None else None
