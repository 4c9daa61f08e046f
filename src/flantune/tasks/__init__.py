"""What to learn: datasets with the words to ask them in, adapted once and read back by number."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flantune.tasks.columns import ColumnAdapter
    from flantune.tasks.describe import describe_task, task_fingerprint
    from flantune.tasks.examples import first_examples
    from flantune.tasks.load import load_task_file, load_tasks
    from flantune.tasks.prepare import prepare_task
    from flantune.tasks.rows import BadRow, BadRowNote
    from flantune.tasks.sources.fetch import Fetched, fetch_to_mirror
    from flantune.tasks.sources.formats import FileFormat
    from flantune.tasks.sources.raw import FileSource, HubSource, MissingDataError
    from flantune.tasks.store import ExampleStore, PreparedTask, SplitReport

_HOMES = {
    "BadRow": "rows",
    "BadRowNote": "rows",
    "ColumnAdapter": "columns",
    "ExampleStore": "store",
    "Fetched": "sources.fetch",
    "FileFormat": "sources.formats",
    "FileSource": "sources.raw",
    "HubSource": "sources.raw",
    "MissingDataError": "sources.raw",
    "PreparedTask": "store",
    "SplitReport": "store",
    "describe_task": "describe",
    "fetch_to_mirror": "sources.fetch",
    "first_examples": "examples",
    "load_task_file": "load",
    "load_tasks": "load",
    "prepare_task": "prepare",
    "task_fingerprint": "describe",
}

__all__ = [
    "BadRow",
    "BadRowNote",
    "ColumnAdapter",
    "ExampleStore",
    "Fetched",
    "FileFormat",
    "FileSource",
    "HubSource",
    "MissingDataError",
    "PreparedTask",
    "SplitReport",
    "describe_task",
    "fetch_to_mirror",
    "first_examples",
    "load_task_file",
    "load_tasks",
    "prepare_task",
    "task_fingerprint",
]


def __getattr__(name: str) -> object:
    # Loaded on first use, so that `import flantune.tasks` pulls neither pyarrow nor pydantic.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
