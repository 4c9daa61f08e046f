"""Messages for data in no known format: what it has, and what would be needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flantune.errors import SourceError
from flantune.tasks.labels import written
from flantune.tasks.rows import UnreadableRow, is_missing, short

if TYPE_CHECKING:
    from pathlib import Path

    from flantune.types import Row

MOST_LABELS = 50
ROWS_A_LABEL = 5
"""A column counts as labels if it has at least this many rows per value; two values are always few enough."""
ROWS_A_NAMED_LABEL = 2
"""The same for a column named "label"."""

_FEW = 20
_FORMS = (
    'known are chats ("messages"), "instruction" and "output", "prompt" and "completion", a text and a label;'
    " docs/tasks.md has all that a task file of your own can say"
)
_WRITTEN = 'where it is an answer to be written, call the two columns "prompt" and "completion"'
_HOW_MANY = (
    f"labels can be told where a column has two values, or up to {MOST_LABELS} with {ROWS_A_LABEL} rows for each"
    f' of them ({ROWS_A_NAMED_LABEL} in a column called "label"): add rows, at least 20'
    f" so that some are left to measure with; {_WRITTEN}"
)


def is_empty(value: object) -> bool:
    """Whether a cell is empty.

    >>> is_empty(None), is_empty(" "), is_empty([]), is_empty(0)
    (True, True, True, False)
    """
    return is_missing(value) or (isinstance(value, str) and not value.strip()) or value in ([], ())


def no_rows(path: Path, rows: Sequence[Any]) -> SourceError:
    """For a file without readable rows."""
    broken = [row for row in rows if isinstance(row, UnreadableRow)]
    if broken:
        which = "its one row" if len(rows) == 1 else f"none of its {len(rows):,} rows"
        verb = "cannot" if len(rows) == 1 else "can"
        hint = "a table needs a header and commas between cells (.tsv: tabs); .jsonl needs one object in { } a line"
        return SourceError(f"{which} {verb} be read: {broken[0].detail}", where=str(path), hint=hint)
    if rows:
        return SourceError("its rows have no columns: each is an empty object", where=str(path), hint=_FORMS)
    hint = "a table has its columns' names in the first line and a row in each line after it; .jsonl an object a line"
    return SourceError("has no rows", where=str(path), hint=hint)


def turns_as_rows(path: Path, rows: Sequence[Row]) -> SourceError:
    """For a file whose rows are the turns of a single conversation."""
    hint = 'a row is a whole conversation: write {"messages": [...]} in one line of a .jsonl file for each'
    turns = f"{len(rows):,} turn{'s' * (len(rows) != 1)}"
    return SourceError(f"its rows are {turns} of one conversation", where=str(path), hint=hint)


def tools_alone(path: Path, rows: Sequence[Row]) -> SourceError:
    """For a file in which every conversation calls or is offered tools."""
    which = f"every one of its {len(rows):,} conversations" if len(rows) > 1 else "its one conversation"
    hint = "take the calls out, with what the tools answered and the column that offers them; or add chats without"
    return SourceError(f"{which} has tools, whose calls cannot be taught", where=str(path), hint=hint)


def unrecognized(path: Path, rows: Sequence[Row], typical: Row, *, label: str, read: int | None) -> SourceError:
    """For a file whose columns have no known format.

    Args:
        path: The file.
        rows: Its first rows, with those that cannot be read.
        typical: Its columns with at least one non-empty row, each with a value.
        label: A column with a usual name for labels; empty: none.
        read: How many rows its possible labels were read from, if these were all; None: the file has more.
    """
    what, hint = _reason(rows, typical, label=label, read=read)
    return SourceError(what, where=str(path), hint=hint)


def unknown_name(path: Path) -> SourceError:
    """For a file whose name does not tell its format."""
    hint = "end its name in .csv, .tsv, .jsonl, .json or .parquet, whichever it is; "
    hint += "texts without answers are for `flantune pretrain`"
    return SourceError(f"cannot tell the format by the name {path.name}", where=str(path), hint=hint)


def without_task_file(error: SourceError) -> SourceError:
    """The error with a hint for somebody who has no task file yet, in which a hint would set something."""
    if "[source]" not in error.hint:
        return error
    hint = next((hint for part, hint in _WITHOUT_TASK_FILE.items() if part in error.message), _AS_JSON_LINES)
    return SourceError(error.message, where=error.where, hint=hint)


_AS_JSON_LINES = "write its rows as .jsonl: one object in { } a line"
_WITHOUT_TASK_FILE = {
    "cannot be read as": "save it as UTF-8",
    "more than once": "rename one of the two columns, in its first line",
    "header": "write the names of its columns into the first line",
    "not a readable Parquet file": "get the file again; if it is of another format, end its name as that is written",
    "Extra data": "if every line is an object, end its name in .jsonl",
}


def _reason(rows: Sequence[Row], typical: Row, *, label: str, read: int | None) -> tuple[str, str]:
    raw, rows = rows, [row for row in rows if isinstance(row, dict) and row]
    count, every = _counted(rows, read)
    blank = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in typical]
    if list(typical) == ["text"] and not label:
        return 'has only texts, in its column "text"', (
            "texts alone are for `flantune pretrain`; to tune, a row needs a prompt and its answer"
        )
    if blank:
        which = f"column {_names(blank)} is" if len(blank) == 1 else f"columns {_names(blank)} are"
        left = f"its other columns say nothing that is known here: {_names(typical)}" if typical else "nothing is left"
        return f"its {which} empty in every row, and {left}", f"fill in what is to be learned; {_FORMS}"
    if len(typical) < 2 or not any(isinstance(value, str) for value in typical.values()):
        return f"its columns say nothing that is known here: {_names(typical)}", _FORMS
    if label:
        return _about_label(rows, raw, label, typical, read)
    values = {name: _values(rows, name) for name in typical}
    same = [name for name, found in values.items() if found == 1]
    if len(rows) == 1:
        return f"has 1 row, too few to tell labels from texts: {_names(typical)}", _HOW_MANY
    likely = min((name for name, found in values.items() if found > 1), key=lambda name: values[name], default="")
    repeats = likely and (len(rows) < _FEW or values[likely] <= len(rows) // ROWS_A_NAMED_LABEL)
    if repeats and values[likely] <= MOST_LABELS and len(rows) < ROWS_A_LABEL * values[likely]:
        few = f"too few rows to take them for labels ({_names(typical)})"
        return f'its column "{likely}" has {values[likely]} different values in {count}: {few}', _HOW_MANY
    if same:
        which = f'its column "{same[0]}" says the same in {every}' if len(same) == 1 else f"{every} are alike"
        return f"{which}, and no other holds labels: {_names(typical)}", f"a choice needs two labels or more; {_FORMS}"
    return f"its columns say nothing that is known here: {_names(typical)}", _FORMS


def _counted(rows: Sequence[Row], read: int | None) -> tuple[str, str]:
    """The rows that were looked at, as "30 rows" and "all 30 rows"."""
    if read is None or read > len(rows):
        return f"the first {len(rows):,} rows", f"all of the first {len(rows):,} rows"
    count = f"{len(rows):,} row{'s' * (len(rows) != 1)}"
    return count, f"all {count}"


def _about_label(
    rows: Sequence[Row], raw: Sequence[Row], label: str, typical: Row, read: int | None
) -> tuple[str, str]:
    """Why a column with a usual name for labels has none."""
    found = _values(rows, label)
    where = f'its column "{label}"'
    count, _ = _counted(rows, read)
    if len(rows) == 1:
        return f"has 1 row, so {where} has only one label; a choice needs two", _HOW_MANY
    odd = _first_odd(raw, label, str | int | float)
    if odd is not None:
        return f"{where} holds no label in row {odd[0]} (counted from 0): {short(odd[1])}", _FORMS
    if found == 1:
        value = short(next(row[label] for row in rows if not is_empty(row.get(label))))
        if read is None:
            hint = "shuffle its rows, if it is sorted by label"
            return f"{where} says {value} in {_counted(rows, read)[1]}, and in many more", f"{hint}; {_WRITTEN}"
        what = f"{where} says {value} in all {max(read, len(rows)):,} rows: a choice needs two labels"
        return what, f"add rows of another label; {_WRITTEN}"
    if found > MOST_LABELS:
        return f"{where} has {found:,} different values, more than {MOST_LABELS}: no labels to choose among", _WRITTEN
    if len(rows) < ROWS_A_NAMED_LABEL * found:
        return f"{where} has {found} different values in {count}: too few to take them for labels", _HOW_MANY
    for name in (name for name, value in typical.items() if name != label and isinstance(value, str)):
        row, odd_value = _first_odd(raw, name, str) or (0, "")
        is_odd = f"{type(odd_value).__name__} {short(odd_value)} in row {row}"
        what = f'no column but "{label}" holds texts: "{name}" is {is_odd}'
        return f"{what} (counted from 0)", f"write it as a text; {_FORMS}"
    return f'no column but "{label}" holds texts: {_names(typical)}', _FORMS


def _first_odd(rows: Sequence[Row], name: str, kinds: Any) -> tuple[int, object] | None:
    """The first row in which a column is neither empty nor of these types, and what it holds."""
    cells = ((number, row.get(name)) for number, row in enumerate(rows) if isinstance(row, dict))
    return next(((number, value) for number, value in cells if not (is_empty(value) or isinstance(value, kinds))), None)


def _values(rows: Sequence[Row], name: str) -> int:
    """The number of different values of a column; lists and tables count as all different."""
    values = [row.get(name) for row in rows if not is_empty(row.get(name))]
    if not all(isinstance(value, str | int | float) for value in values):
        return len(rows)
    return len({value if isinstance(value, str) else written(value) for value in values})


def _names(columns: Sequence[str] | Row) -> str:
    return ", ".join(f'"{name}"' for name in columns)
