"""How a user's file is written, by its first bytes: the encoding and, in tables, the delimiter."""

from __future__ import annotations

import csv
import io
import zlib
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

from flantune.errors import SourceError
from flantune.tasks.sources.formats import FileFormat, format_of, open_binary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOOKED_AT = 2**26
_LINES = 200
_DELIMITERS = (",", ";", "\t", "|")
_MARKS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_MOST_ACCENTS = 0.3
"""The share of a Western European text's letters that are not ASCII is far below this."""
_SAME_CELLS = 0.9
_AS_UTF8 = 'save it as UTF-8: "CSV UTF-8" in Excel, or iconv -f ENCODING -t UTF-8'


def sniffed_format(path: Path) -> FileFormat:
    """The format of a file, with an encoding and a delimiter where they are not the usual ones.

    Raises:
        SourceError: The format does not follow from the name, or the encoding cannot be recognized.
    """
    name = format_of(path, FileFormat())
    if name == "parquet":
        return FileFormat()
    try:
        with open_binary(path) as file:
            start = file.read(_LOOKED_AT)
    except (OSError, EOFError, zlib.error):
        return FileFormat()  # reading its rows fails in the same way, with a message
    encoding = _encoding(start, path)
    if name not in ("csv", "tsv"):
        return FileFormat(encoding=encoding)
    usual = "," if name == "csv" else "\t"
    found = delimiter_of(start[: 2**20].decode(encoding, errors="replace").removeprefix("\ufeff"), usual=usual)
    return FileFormat(encoding=encoding, delimiter=None if found == usual else found)


def _encoding(start: bytes, path: Path) -> str:
    for mark, encoding in _MARKS.items():
        if start.startswith(mark):
            return encoding
    nulls = Counter(place % 2 for place, byte in enumerate(start[:2000]) if byte == 0)
    if sum(nulls.values()) > len(start[:2000]) // 4:
        return "utf-16-le" if nulls[1] > nulls[0] else "utf-16-be"
    text = start.decode("utf-8", errors="surrogateescape")
    broken = [at for at in _broken(text) if at < len(text) - 4]  # the last character may be cut off
    accents = sum(character > "\x7f" for character in text) - len(broken)
    if not broken or accents > len(broken):
        return "utf-8"  # rows with a broken text in a file of UTF-8 are bad rows
    return _western(start, path)


def _broken(text: str) -> Iterator[int]:
    return (at for at, character in enumerate(text) if "\udc80" <= character <= "\udcff")


def _western(start: bytes, path: Path) -> str:
    """Windows' code page for Western Europe, of which Latin-1 is nearly a part, unless the text is of other letters."""
    try:
        text = start.decode("cp1252")
    except UnicodeDecodeError as error:
        line = start.count(b"\n", 0, error.start) + 1
        what = f"is neither UTF-8 nor Windows-1252 text, by the byte {start[error.start]:#04x} in line {line}"
        raise SourceError(what, where=str(path), hint=_AS_UTF8) from None
    letters = [character for character in text if character.isalpha()]
    if sum(character > "\x7f" for character in letters) > _MOST_ACCENTS * len(letters):
        what = "is not UTF-8 text, and of an encoding that cannot be told: most of its bytes are not ASCII"
        raise SourceError(what, where=str(path), hint=_AS_UTF8)
    return "cp1252"


def delimiter_of(text: str, *, usual: str) -> str:
    r"""What separates the cells of a table.

    >>> delimiter_of("text;label\nGood, really;yes\nBad;no\n", usual=",")
    ';'
    >>> delimiter_of("a single column\nof texts, some with commas\n", usual=",")
    ','

    Args:
        text: The first lines.
        usual: The delimiter that its name suggests, which is preferred.
    """
    fits = {delimiter: _fit(text, delimiter) for delimiter in _DELIMITERS}
    columns, share = fits[usual]
    if columns > 1 and share >= _SAME_CELLS:
        return usual
    best = max(fits, key=lambda delimiter: (fits[delimiter][0] > 1, fits[delimiter][1], fits[delimiter][0]))
    return best if fits[best][0] > 1 and fits[best][1] >= max(_SAME_CELLS, share if columns > 1 else 0) else usual


def _fit(text: str, delimiter: str) -> tuple[int, float]:
    """The number of cells in the first row, and the share of rows with as many."""
    try:
        rows = [row for row in islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), _LINES) if row]
    except csv.Error:
        return 0, 0.0
    rows = rows[:-1] if len(rows) > 2 else rows  # the last may be cut off
    return (len(rows[0]), sum(len(row) == len(rows[0]) for row in rows) / len(rows)) if rows else (0, 0.0)
