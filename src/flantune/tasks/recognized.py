"""What is known of a user's own file: its form, its columns, its labels, and what its user should know."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from flantune.tasks.recognize_labels import rows_of
from flantune.tasks.rows import UnreadableRow, short
from flantune.tasks.sources.formats import FileFormat

if TYPE_CHECKING:
    from flantune.types import Row

Form = Literal["conversation", "instruction", "completion", "labels"]
"""Turns of a chat; an instruction, an input that may be empty, and an output; a text and its answer; a text and one of
a few labels."""

ROWS = "rows"
"""The name of the only split of such a file."""
LOOKED_AT = 10_000
_FEWEST_DIVIDED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How long the rows are, in bytes of UTF-8.

    Attributes:
        mean: Of what a row has in the relevant columns.
        longest: The largest, if all rows were looked at; else 0.
    """

    mean: float = 0.0
    longest: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognized:
    """A file that was recognized.

    Attributes:
        path: The file.
        form: The form of its rows.
        columns: The relevant columns: those with turns; instruction, input and output; prompt and answer; text and
            label.
        file_format: How it is written, where that is not the usual way.
        system: A column with instructions to the assistant; empty: none.
        labels: The labels, the commonest first.
        meant: Spelling → label, if some differ by case alone; otherwise empty.
        drop: Answers whose rows are left out.
        rows: The number of rows if the file was read to its end, otherwise None.
        tool_rows: Conversations among the first 10,000 rows in which tools are called or offered.
        is_sorted: Some label is missing where the test rows would come from, and not by chance: the rows are sorted by
            it.
        sizes: How long the rows are.
        notes: What else its user should know.
    """

    path: Path
    form: Form
    columns: tuple[str, ...]
    file_format: FileFormat = field(default_factory=FileFormat)
    system: str = ""
    labels: tuple[str, ...] = ()
    meant: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    rows: int | None = None
    is_sorted: bool = False
    tool_rows: int = 0
    sizes: Sizes = field(default_factory=Sizes)
    notes: tuple[str, ...] = ()

    @property
    def splits(self) -> dict[str, str]:
        """The training, dev and test rows; if there are few rows, all are for training.

        >>> Recognized(path=Path("a.csv"), form="labels", columns=("text", "label"), rows=200).splits
        {'train': 'rows[:80%]', 'dev': 'rows[80%:90%]', 'test': 'rows[90%:]'}
        """
        if self.rows is None or self.rows > LOOKED_AT:  # more test rows would take long and add little
            return {"train": f"{ROWS}[:-1000]", "dev": f"{ROWS}[-1000:-500]", "test": f"{ROWS}[-500:]"}
        if self.rows < _FEWEST_DIVIDED:
            return {"train": ROWS}
        return {"train": f"{ROWS}[:80%]", "dev": f"{ROWS}[80%:90%]", "test": f"{ROWS}[90%:]"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstRows:
    """The first rows of a file.

    Attributes:
        path: The file.
        rows: The rows, without columns of rejected answers.
        good: Those that could be read.
        rest: The other rows, read when they are asked for.
        is_whole: Whether there are no others.
        rejected: The columns with rejected answers.
    """

    path: Path
    rows: list[Row]
    good: list[Row]
    rest: Iterator[Row]
    is_whole: bool
    rejected: tuple[str, ...]


def notes_on_file(file_format: FileFormat, read: FirstRows, found: Recognized) -> Iterator[str]:
    """What is unusual about the file itself."""
    if file_format.encoding == "cp1252":
        texts = (value for row in read.good for name in found.columns if isinstance(value := row.get(name), str))
        sample = next((text for text in texts if not text.isascii()), "")
        seen = f": {short(_around_accent(sample))}" if sample else ""
        yield f"not UTF-8, so it is read as Windows-1252{seen}; if this is wrong, set encoding in the task file"
    elif file_format.encoding != "utf-8":
        yield f"encoded as {file_format.encoding}"
    if file_format.delimiter is not None:
        yield f"its cells are separated by {json.dumps(file_format.delimiter)}"
    broken = [row for row in read.rows if isinstance(row, UnreadableRow)]
    if broken:
        yield f"{rows_of(len(broken))} a fault and cannot be read, the first: {broken[0].detail}"


def _around_accent(text: str) -> str:
    at = next(place for place, character in enumerate(text) if character > "\x7f")
    return text[max(0, at - 20) : at + 20]


def notes_on_columns(read: FirstRows, found: Recognized, typical: Row, unused: Sequence[str]) -> Iterator[str]:
    """Which columns teach nothing."""
    if read.rejected:
        yield f"preference data: only `{found.columns[-1]}` is learned, and not {', '.join(read.rejected)}"
    if unused:
        yield f"not used: {', '.join(unused)}"
    for name in (name for name in unused if name.lower() in ("label", "labels") and found.form != "labels"):
        if isinstance(typical[name], bool):
            yield f'every row is learned, also where "{name}" is false: take such rows out if it marks bad answers'
