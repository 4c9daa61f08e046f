"""A user's own rows for promptsource's templates: a TOML file that says where each dataset's rows are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from flantune.errors import TaskError
from flantune.settings.sections import Problems, Section, check_section
from flantune.settings.toml_file import read_toml
from flantune.tasks.columns import find_value
from flantune.tasks.labels import find_label
from flantune.tasks.rows import NOT_AN_OPTION, BadRow, short
from flantune.tasks.sources.kinds import read_source
from flantune.tasks.taskfile_sections import Splits, Text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from flantune.types import Row, Source, SplitRole


class MappedColumn(Section):
    """A column whose values are replaced, such as the text "1" by the number 1."""

    column: Text
    """Name or dotted path."""
    map: Annotated[dict[str, Any], Field(min_length=1)]
    """Value as text → the value that templates see."""


class RowsSection(Section):
    """The rows of one dataset."""

    source: dict[str, Any]
    """Where they are, as in a task file."""
    splits: Splits
    """The splits, as in a task file."""
    columns: dict[str, Text | MappedColumn] = Field(default_factory=dict)
    """The templates' name for a column → the column; empty: the rows already have these names."""
    clusters: tuple[Text, ...] = ()
    """The kinds of task, if T0 does not say."""
    licence: str = ""
    """Of the data."""

    @model_validator(mode="after")
    def _splits_something(self) -> RowsSection:
        if not self.splits.given():
            raise ValueError("splits names no split; set train, dev or test")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRows:
    """A dataset's rows from a user's own files.

    Attributes:
        source: Where they are.
        splits: The splits.
        columns: For each column, the templates' name for it, the column, and what its values mean; empty: rows are used
            as they are.
        clusters: The kinds of task; empty: T0's.
        licence: Of the data.
    """

    source: Source
    splits: Mapping[SplitRole, str]
    columns: tuple[tuple[str, str, tuple[tuple[str, Any], ...]], ...] = ()
    clusters: tuple[str, ...] = ()
    licence: str = ""


def read_rows_file(path: Path) -> dict[str, OwnRows]:
    """Reads a file of rows, with a table for each dataset.

    Raises:
        TaskError: It cannot be read or is wrong; all its problems are reported at once.
    """
    _, tree = read_toml(path, error=TaskError, what="file of rows")
    problems = Problems()
    found: dict[str, OwnRows] = {}
    for name, table in tree.items():
        section = check_section(RowsSection, table, f'"{name}"', problems=problems)
        source = read_source(section.source, folder=path.parent, problems=problems) if section is not None else None
        if section is not None and source is not None:
            columns = tuple(
                (shown, column, ()) if isinstance(column, str) else (shown, column.column, tuple(column.map.items()))
                for shown, column in section.columns.items()
            )
            found[name] = OwnRows(
                source=source,
                splits=section.splits.given(),
                columns=columns,
                clusters=section.clusters,
                licence=section.licence,
            )
    if problems.lines:
        raise problems.error(TaskError, where=str(path))
    return found


def renamed(row: Row, columns: tuple[tuple[str, str, tuple[tuple[str, Any], ...]], ...]) -> dict[str, Any]:
    """A row with the names and values that templates expect.

    >>> renamed({"Quality": "1", "text": "a"}, (("label", "Quality", (("0", 0), ("1", 1))), ("sentence", "text", ())))
    {'label': 1, 'sentence': 'a'}

    Raises:
        BadRow: It lacks a column, or has a value without a meaning.
    """
    if not columns:
        return {name.replace("-", "_"): value for name, value in row.items()}
    return {shown: _meant(find_value(row, column), meanings) for shown, column, meanings in columns}


def _meant(value: Any, meanings: tuple[tuple[str, Any], ...]) -> Any:
    if not meanings:
        return value
    names = tuple(name for name, _ in meanings)
    place = find_label(value, names)
    if place is None:
        raise BadRow(NOT_AN_OPTION, f"got {short(value)}; expected one of {', '.join(map(short, names))}")
    return meanings[place][1]
