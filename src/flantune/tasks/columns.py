"""Columns mapped to fields, options and an answer: the adapter of a task file without Python."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

from flantune.errors import did_you_mean
from flantune.tasks.labels import AnswerReading, choose_option, find_label, written
from flantune.tasks.rows import (
    BAD_OPTIONS,
    EMPTY_TARGET,
    MISSING_COLUMN,
    MISSING_VALUE,
    NOT_AN_OPTION,
    NOT_TEXT,
    BadRow,
    is_missing,
    short,
)
from flantune.tasks.sources.mistaken_files import other_delimiter
from flantune.types import Example, Row

# Increased whenever the code below adapts a row differently, so that old stores are not reused.
_CODE_VERSION = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldColumn:
    """The column that fills a field.

    Attributes:
        column: Its name, or a dotted path into nested rows.
        join: What separates the texts when the column holds a list; None: a list is a bad row.
    """

    column: str
    join: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionColumns:
    """Where a row's options are: exactly one of the three is set.

    Attributes:
        values: The same options for all rows.
        column: A column that holds the list of them.
        columns: A column for each.
    """

    values: tuple[str, ...] = ()
    column: str = ""
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerColumn:
    """Where the answer of a row is.

    Attributes:
        column: Classification: an option's text, its index, or a key. Generation: a text or a list.
        reading: Whether values are texts of options or indices; empty: a text, or an index if no option has that text.
        keys: The keys of the options, in the options' order.
        keys_column: A column that holds the list of keys.
        map: Value as text → answer text.
        separator: Splits several references joined in one cell; empty: the cell is one reference.
        drop: Values, as text, whose rows are left out on purpose, such as the -1 of unlabeled rows.
        group: Columns whose values together identify the group of a row; empty: rows are independent.
    """

    column: str
    reading: AnswerReading = ""
    keys: tuple[str, ...] = ()
    keys_column: str = ""
    map: Mapping[str, str] = field(default_factory=dict)
    separator: str = ""
    drop: tuple[str, ...] = ()
    group: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnAdapter:
    """Raw row → Example by column names.

    Attributes:
        fields: Slot → column.
        options: Where the options are; None makes it a generation task.
        answer: Where the answer is.
    """

    fields: Mapping[str, FieldColumn]
    options: OptionColumns | None = None
    answer: AnswerColumn

    def __call__(self, row: Row) -> Example | None:
        """Adapts a row; None when its answer is among those to drop.

        Raises:
            BadRow: A column is missing, or contains something that cannot be used.
        """
        value = find_value(row, self.answer.column)
        if self.answer.drop and find_label(value, self.answer.drop) is not None:
            return None
        fields = {slot: field_text(row, column) for slot, column in self.fields.items()}
        self._check_asks(fields)
        group = "/".join(as_text(find_value(row, path), path) for path in self.answer.group)
        if self.options is None:
            return Example(row=0, fields=fields, references=_references(value, self.answer), group=group)
        options = _options(row, self.options)
        index = _choice(row, value, options, self)
        return Example(row=0, fields=fields, options=options, answer=index, references=(options[index],), group=group)

    def _check_asks(self, fields: Mapping[str, str]) -> None:
        """Refuses a row without text: in a CSV file a missing text is an empty one."""
        has_own_options = self.options is not None and not self.options.values
        if fields and not has_own_options and not any(text.strip() for text in fields.values()):
            columns = ", ".join(f'"{column.column}"' for column in self.fields.values())
            raise BadRow(MISSING_VALUE, f"got no text in {columns}; expected some")

    @property
    def fingerprint(self) -> str:
        """Changes with the mapping, including the order of fields, which prompts without instructions show."""
        return sha256(json.dumps([_CODE_VERSION, asdict(self)]).encode()).hexdigest()


def find_value(row: Row, path: str) -> Any:
    """The value at a column or a dotted path; a path through a list of rows gives the list of their values.

    >>> find_value({"choices": {"text": ["red", "blue"]}}, "choices.text")
    ['red', 'blue']
    >>> find_value({"answers": [{"text": "Oslo"}, {"text": "Bergen"}]}, "answers.text")
    ['Oslo', 'Bergen']
    >>> find_value({"answers": {"text": ["Oslo"]}}, "answers.text.0")
    'Oslo'

    Raises:
        BadRow: There is no such column, or no such item.
    """
    if path in row:
        return row[path]
    value: Any = row
    for part in path.split("."):
        value = _step(value, part, path)
    return value


def _step(value: Any, part: str, path: str) -> Any:
    if isinstance(value, Mapping):
        if part in value:
            return value[part]
        near = other_delimiter(value, part) or did_you_mean(part, value)
        detail = f'got columns {", ".join(value)}; expected "{path}"' + (f"; {near}" if near else "")
        raise BadRow(MISSING_COLUMN, detail)
    if isinstance(value, list):
        if not part.isdecimal():
            return [_step(item, part, path) for item in value]
        if int(part) < len(value):
            return value[int(part)]
    if value is None:
        raise BadRow(MISSING_VALUE, f'got null on the way to "{path}"')
    raise BadRow(MISSING_COLUMN, f'got {short(value)}, which has no "{part}"; expected "{path}"')


def as_text(value: Any, path: str) -> str:
    """A cell as text: texts unchanged, numbers in Python's notation, dates in ISO's.

    Raises:
        BadRow: The cell is null, NaN, or contains more than one value.
    """
    if isinstance(value, str):
        return value
    if is_missing(value):
        name = "null" if value is None else "NaN"
        raise BadRow(MISSING_VALUE, f'got {name} in column "{path}"; expected text')
    text = written(value)
    if text:
        return text
    raise BadRow(NOT_TEXT, f'got {type(value).__name__} {short(value)} in column "{path}"; expected text')


def field_text(row: Row, column: FieldColumn) -> str:
    """The text of a field in a row.

    Raises:
        BadRow: There is none.
    """
    value = find_value(row, column.column)
    if column.join is not None and isinstance(value, list | tuple):
        return column.join.join(as_text(item, column.column) for item in value)
    return as_text(value, column.column)


def _texts(value: Any, path: str) -> tuple[str, ...]:
    if isinstance(value, list | tuple):
        return tuple(as_text(item, path) for item in value)
    raise BadRow(NOT_TEXT, f'got {type(value).__name__} {short(value)} in column "{path}"; expected a list of texts')


def _options(row: Row, options: OptionColumns) -> tuple[str, ...]:
    if options.values:
        return options.values
    if options.column:
        return _texts(find_value(row, options.column), options.column)
    return tuple(as_text(find_value(row, column), column) for column in options.columns)


def _choice(row: Row, value: Any, options: tuple[str, ...], adapter: ColumnAdapter) -> int:
    """Index of the right option."""
    answer = adapter.answer
    if is_missing(value):
        name = "null" if value is None else "NaN"
        raise BadRow(MISSING_VALUE, f'got {name} in column "{answer.column}"; expected an answer')
    if answer.keys or answer.keys_column:
        keys = answer.keys or _texts(find_value(row, answer.keys_column), answer.keys_column)
        return _place_of(value, keys, options)
    if answer.map:
        return _place_of(_mapped(value, answer), options, options)
    are_fixed = adapter.options is not None and bool(adapter.options.values)
    return choose_option(value, options, reading=answer.reading, are_fixed=are_fixed)


def _place_of(value: Any, names: tuple[str, ...], options: tuple[str, ...]) -> int:
    place = _known_label(value, names)
    if place >= len(options):
        raise BadRow(BAD_OPTIONS, f"got {len(options)} options for {len(names)} keys")
    return place


def _mapped(value: Any, answer: AnswerColumn) -> str:
    names = tuple(answer.map)
    return answer.map[names[_known_label(value, names)]]


def _known_label(value: Any, names: tuple[str, ...]) -> int:
    place = find_label(value, names)
    if place is None:
        raise BadRow(NOT_AN_OPTION, f"got {short(value)}; expected one of {', '.join(map(short, names))}")
    return place


def _references(value: Any, answer: AnswerColumn) -> tuple[str, ...]:
    values = value if isinstance(value, list | tuple) else [value]
    texts = [_mapped(item, answer) if answer.map else as_text(item, answer.column) for item in values]
    if answer.separator:
        texts = [part.strip() for text in texts for part in text.split(answer.separator)]
    references = tuple(text for text in texts if text.strip())
    if not references:
        raise BadRow(EMPTY_TARGET, f'got {short(value)} in column "{answer.column}"; expected text')
    return references
