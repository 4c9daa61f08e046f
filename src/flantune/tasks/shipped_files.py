"""Where the tasks shipped with flantune are: a folder for each collection, and alternative clusterings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flantune.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

SHIPPED = Path(__file__).parents[1] / "shipped"


def collections() -> tuple[str, ...]:
    """Names of the shipped collections of tasks."""
    return tuple(sorted(folder.name for folder in SHIPPED.iterdir() if any(folder.glob("*.toml"))))


def shipped_collection(path: Path) -> str:
    """The shipped collection of a task file; empty for a user's own file.

    >>> shipped_collection(SHIPPED / "flan2021/rte.toml"), shipped_collection(Path("mine/rte.toml"))
    ('flan2021', '')
    """
    return path.parent.name if path.parent.parent == SHIPPED else ""


def collection_files(names: Iterable[str]) -> list[Path]:
    """The task files of some collections.

    Raises:
        ConfigError: There is no such collection.
    """
    known = collections()
    for name in names:
        if name not in known:
            near = did_you_mean(name, known) or f"available: {', '.join(known) or 'none'}"
            raise ConfigError(f'no collection "{name}"', where="data.collection", hint=near)
    return [path for name in names for path in sorted((SHIPPED / name).glob("*.toml"))]
