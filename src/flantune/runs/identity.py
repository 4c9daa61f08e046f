"""The identity of a run: everything that can change the tuned weights, by content and not by location."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.settings.config import free_training_settings
from flantune.settings.run_file import fingerprint

if TYPE_CHECKING:
    from flantune.runs.products import KeptSettings
    from flantune.settings.config import RunConfig

# Settings that may change between two starts of a run: what is measured and reported, and how often it is saved;
# nothing that affects the tuned weights.
_FREE_SECTIONS = ("name", "evaluation", "tracking")

# The location of tasks and rows. Their content counts by the fingerprint of each task, once it is read.
_PLACES = ("tasks", "mirror", "cache", "clean", "prepared")

_WHOLE_BYTES = 2**24
_BLOCK_BYTES = 2**16
_BLOCKS = 64


def training_identity(config: RunConfig) -> str:
    """A fingerprint of every setting that can change the tuned weights; moving a project does not change it."""
    return identity_with(config, contents(config))


def identity_with(config: RunConfig, named: Mapping[str, str]) -> str:
    """The same, with the digests of the named files from another time."""
    return fingerprint(_counted(config), named)


def contents(config: RunConfig) -> dict[str, str]:
    """Setting → a digest of the file or folder that it names, without settings that name none."""
    named = {
        "model.path": Path(config.model.path) if config.model.path else None,
        "holdout.taxonomy": config.holdout.taxonomy,
        "prompts.chat_template": config.prompts.chat_template,
        "data.clusters": Path(config.data.clusters) if config.data.clusters.endswith(".toml") else None,
    }
    return {key: digest for key, path in named.items() if path is not None and (digest := content_digest(path))}


def differences(earlier: KeptSettings, now: KeptSettings) -> list[str]:
    """What makes it a different run, one per line: settings first, then the content of the files they name."""
    old, new = flat(earlier.values), flat(now.values)
    named = sorted({*earlier.contents, *now.contents})
    passed_over = {"name", *named, "pretraining.files", *(f"data.{key}" for key in _PLACES)}
    decides = {name: new.get(f"training.{name}") for name in ("keep", "patience")}
    passed_over |= {f"training.{key}" for key in free_training_settings(decides)}
    lines = [
        f"  {key}: {old.get(key)!r} there, {new.get(key)!r} now"
        for key in sorted({*old, *new})
        if key not in passed_over and not key.startswith(("evaluation.", "tracking.")) and old.get(key) != new.get(key)
    ]
    return lines + [
        f"  {key}: {old.get(key)!r} there, {new.get(key)!r} now, with other content"
        for key in named
        if earlier.contents.get(key) != now.contents.get(key)
    ]


def content_digest(path: Path) -> str:
    """A digest of a file's bytes, or of all files of a folder and their names; empty if there is nothing.

    For files above 16 MiB, such as weights, the size and 64 evenly spaced blocks count: further training changes
    weights everywhere.
    """
    try:
        # A model's card is for people, and may be rewritten.
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file() and p.suffix != ".md")
        if not files:
            return ""
        digest = hashlib.sha256()
        for file in files:
            # A single file counts by its content, regardless of its name.
            name = file.relative_to(path).as_posix() if file != path else ""
            digest.update(f"{name} {file.stat().st_size}\n".encode("utf-8", "surrogateescape"))
            for block in _blocks(file):
                digest.update(block)
    except (OSError, ValueError):
        return ""
    return digest.hexdigest()[:32]


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted setting → value."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[prefix + key] = value
    return found


def _blocks(file: Path) -> Iterator[bytes]:
    size = file.stat().st_size
    with file.open("rb") as handle:
        if size <= _WHOLE_BYTES:
            yield handle.read()
            return
        for number in range(_BLOCKS):
            handle.seek(number * (size - _BLOCK_BYTES) // (_BLOCKS - 1))
            yield handle.read(_BLOCK_BYTES)


def _counted(config: RunConfig) -> dict[str, Any]:
    free = free_training_settings({"keep": config.training.keep, "patience": config.training.patience})
    values = config.model_dump(mode="json", exclude={"training": set(free), "data": set(_PLACES)})
    if config.pretraining is None:
        del values["pretraining"]
    else:
        values["pretraining"].pop("files")
    for key in contents(config):
        section, name = key.split(".")
        values[section].pop(name)
    return {key: value for key, value in values.items() if key not in _FREE_SECTIONS}
