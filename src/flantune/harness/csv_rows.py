"""Rows of a CSV file as the harness reads them: numbers are parsed, so 1 is the index of an option and not a text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flantune.types import Row

# Cells that pandas, with which the harness reads CSV, treats as missing.
_NOTHING = frozenset({
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
})  # fmt: skip
_TRUTH = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
_WHOLE = re.compile(r"\s*[+-]?[0-9]+\s*")
_NUMBER = re.compile(
    r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*|\s*[+-]?inf(?:inity)?\s*", re.IGNORECASE
)
_LARGEST = 2**63


def typed_rows(rows: Sequence[Row]) -> list[Row]:
    """Rows of texts with each column converted to integers, numbers, booleans, or texts; empty cells become None.

    >>> typed_rows([{"q": "5 km?", "label": "1"}, {"q": "NA", "label": "0"}])
    [{'q': '5 km?', 'label': 1}, {'q': None, 'label': 0}]
    """
    # A row that could not be parsed has no columns; reading it reports the error.
    whole = [row for row in rows if isinstance(row, dict)]
    columns = {name: _reader([row[name] for row in whole]) for name in (whole[0] if whole else ())}
    return [{name: columns[name](cell) for name, cell in row.items()} if isinstance(row, dict) else row for row in rows]


def _reader(cells: Sequence[str]) -> Callable[[str], Any]:
    """The parser for a column: the narrowest type that fits all of its cells."""
    said = [cell for cell in cells if cell not in _NOTHING]
    if said and all(map(_WHOLE.fullmatch, said)):
        if len(said) < len(cells):
            return _or_none(float)
        is_held = all(len(cell) < 25 and abs(int(cell)) < _LARGEST for cell in said)
        return int if is_held else _or_none(str)
    if said and all(map(_NUMBER.fullmatch, said)):
        return _or_none(float)
    if said and all(cell in _TRUTH for cell in said):
        return _or_none(_TRUTH.__getitem__)
    return _or_none(str)


def _or_none(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda cell: None if cell in _NOTHING else read(cell)
