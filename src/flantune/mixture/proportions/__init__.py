"""Trees of parts by name, a TOML file each: what the papers and their code say of how much of what."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

from flantune.settings.mixture_settings import MixtureSettings
from flantune.settings.toml_file import parse_toml

if TYPE_CHECKING:
    from flantune.settings.mixture_settings import PartSettings


def parts_of(settings: MixtureSettings) -> Mapping[str, PartSettings]:
    """The tree of a mixture: its own, or the one it names; empty where all tasks stand side by side."""
    return _read(settings.proportions).parts if settings.proportions else settings.parts


def proportions_text(name: str) -> str:
    """The file of a tree, as it may be pasted below ``[mixture]`` and changed."""
    text = resources.files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return text.replace("[parts.", "[mixture.parts.")


@lru_cache
def _read(name: str) -> MixtureSettings:
    text = resources.files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return MixtureSettings.model_validate(parse_toml(text))
