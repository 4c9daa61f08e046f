"""Rows of files on this machine."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, StrictBool, model_validator

from flantune.errors import MissingDataError, SourceError, did_you_mean
from flantune.system.files import file_sha256, is_file, is_folder
from flantune.tasks.sources.formats import FileFormat, FormatName, Quoting, read_aligned, read_rows
from flantune.tasks.sources.mistaken_files import no_such_file
from flantune.tasks.sources.section import SourceSection
from flantune.types import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flantune.types import Row

FilePattern = str | tuple[str, ...] | Mapping[str, str]
"""A path or glob, several of them in order, or column → text file for files aligned line by line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource(Source):
    """Files on this machine.

    Attributes:
        files: Split → path or glob, several of them, or column → text file (aligned line by line).
        form: The format of the files, if it does not follow from their names.
        root: The folder that relative paths start from.
    """

    files: Mapping[str, FilePattern]
    form: FileFormat = field(default_factory=FileFormat)
    root: Path = Path()

    def rows(self, split: str) -> Iterator[Row]:
        """All rows of a split, in order, in constant memory.

        Raises:
            SourceError: A file cannot be found or read.
        """
        pattern = self._pattern(split)
        if isinstance(pattern, Mapping):
            yield from read_aligned({name: self._paths(path)[0] for name, path in pattern.items()}, self.form)
            return
        for path in self.paths(split):
            yield from read_rows(path, self.form)

    def paths(self, split: str) -> tuple[Path, ...]:
        """The files of a split: globs expanded, in order of their names.

        Raises:
            MissingDataError: No file matches.
        """
        return tuple(path for name in _names(self._pattern(split)) for path in self._paths(name))

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the files' content and of how they are read; their names and dates are ignored.

        Raises:
            SourceError: A file cannot be found or read.
        """
        pattern = self._pattern(split)
        columns = tuple(pattern) if isinstance(pattern, Mapping) else ()
        parts = [repr((self.form, columns))]
        for path in self.paths(split):
            # The suffixes determine how a file is read, so they count.
            parts.append(f"{''.join(path.suffixes[-2:])} {_digest(path)}")
        return sha256("\n".join(parts).encode()).hexdigest()

    def describe(self, split: str, row: int | None = None) -> str:
        """The path or glob of the split; for a row, the file it is in, if the split has several."""
        pattern = self._pattern(split)
        if row is not None and not isinstance(pattern, Mapping) and len(paths := self.paths(split)) > 1:
            for path in paths:
                rows = sum(1 for _ in read_rows(path, self.form))
                if row < rows:
                    return str(path)
                row -= rows
        return ", ".join(str(self.root / name) for name in _names(pattern))

    def files_here(self) -> frozenset[Path]:
        """The existing files of all splits."""
        return _resolved(str(self.root), tuple(name for pattern in self.files.values() for name in _names(pattern)))

    def places(self) -> tuple[tuple[str, str, str], ...]:
        """The paths and globs as written, one line per split."""
        return tuple(("file", ", ".join(_names(pattern)), "") for pattern in self.files.values())

    def _pattern(self, split: str) -> FilePattern:
        if split in self.files:
            return self.files[split]
        names = ", ".join(f'"{name}"' for name in self.files)
        raise MissingDataError(f'no split "{split}"; there are {names}', hint=did_you_mean(split, self.files))

    def _paths(self, pattern: str) -> list[Path]:
        path = self.root / Path(pattern).expanduser()
        found = matching_files(path)
        if found:
            return found
        if is_folder(path):
            raise MissingDataError(
                "is a folder; expected a file", where=str(path), hint=f'name the files in it: "{pattern}/*.jsonl"'
            )
        what, hint = no_such_file(path, pattern)
        raise MissingDataError(what, where=str(path), hint=hint)


def matching_files(path: Path) -> list[Path]:
    """The file itself, or those that match it as a glob, in order of their names."""
    if is_file(path):  # first: a file's own name may contain brackets
        return [path]
    try:
        names = glob.glob(str(path), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    except (OSError, ValueError, re.error, RecursionError):
        return []
    return sorted(found for found in map(Path, names) if is_file(found))


def _names(pattern: FilePattern) -> tuple[str, ...]:
    """The paths and globs of a split."""
    if isinstance(pattern, str):
        return (pattern,)
    return tuple(pattern.values() if isinstance(pattern, Mapping) else pattern)


@lru_cache(maxsize=4096)
def _resolved(root: str, names: tuple[str, ...]) -> frozenset[Path]:
    found = (path for name in names for path in matching_files(Path(root) / Path(name).expanduser()))
    return frozenset(path.resolve() for path in found)


def _digest(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise SourceError(f"cannot be read: {error}", where=str(path)) from error


# In a task file. -----------------------------------------------------------------------------------------------------


def _delimiter(text: str) -> str:
    if len(text) != 1 or text in "\r\n\0":
        raise ValueError("should be one character, and no line break")
    return text


def _encoding(name: str) -> str:
    try:
        "".encode(name)
    except (LookupError, ValueError, TypeError):
        raise ValueError('should be a text encoding, such as "utf-8", "latin-1" or "utf-16"') from None
    return name


class FilesSection(SourceSection):
    """``[source]`` with files."""

    files: dict[str, str | tuple[str, ...] | dict[str, str]]
    """Split → path or glob relative to the task file, a list of them, or column → text file (aligned lines)."""
    format: FormatName | None = None
    """Only needed if the files' names do not give the format."""
    columns: tuple[str, ...] = ()
    """Column names of CSV or TSV files without a header."""
    header: StrictBool | None = None
    """Whether the first row is a header; by default, exactly when `columns` is not set."""
    delimiter: Annotated[str, AfterValidator(_delimiter)] | None = None
    """Separator of cells; by default a comma for CSV, a tab for TSV."""
    quoting: Quoting | None = None
    """ "standard" (default for CSV) or "none" (default for TSV): quote characters are text, a line is a row."""
    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8"
    """The files' text encoding."""
    key: str = ""
    """The list of rows inside a JSON object, if it has several lists."""
    written_line_breaks: StrictBool = False
    r"""`\n` in a cell of a table, two characters, is a line break."""

    @model_validator(mode="after")
    def _quote_is_no_delimiter(self) -> FilesSection:
        if self.delimiter == '"' and self.quoting != "none":
            raise ValueError('delimiter cannot be the quote character; set quoting = "none" if quotes are text')
        return self

    def source(self, folder: Path) -> FileSource:
        """The files, relative to the task file's folder."""
        form = FileFormat(
            name=self.format,
            columns=self.columns,
            header=self.header,
            delimiter=self.delimiter,
            quoting=self.quoting,
            encoding=self.encoding,
            key=self.key,
            written_line_breaks=self.written_line_breaks,
        )
        return FileSource(files=self.files, form=form, root=folder)
