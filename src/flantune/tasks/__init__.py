"""What to learn: datasets with templates, adapted once and then read by number.

Names for use in Python task files can be imported from here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flantune.tasks.columns import ColumnAdapter
    from flantune.tasks.rows import BadRow
    from flantune.tasks.sources.files import FileSource
    from flantune.tasks.sources.formats import FileFormat
    from flantune.tasks.sources.hub import HubSource

_HOMES = {
    "BadRow": "rows",
    "ColumnAdapter": "columns",
    "FileFormat": "sources.formats",
    "FileSource": "sources.files",
    "HubSource": "sources.hub",
}

__all__ = ["BadRow", "ColumnAdapter", "FileFormat", "FileSource", "HubSource"]


def __getattr__(name: str) -> object:
    # Loaded on first use, so that `import flantune.tasks` imports neither pyarrow nor pydantic.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
