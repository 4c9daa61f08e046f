"""Plain text as an endless numbered sequence of documents: each pass in a new order, or in the order of the files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from flantune.errors import SourceError, did_you_mean
from flantune.mixture.permutation import permute
from flantune.system.files import is_folder, read_text
from flantune.system.keyed_random import stream_key
from flantune.tasks.arrow_files import ArrowFile, ArrowWriter, sums_path
from flantune.tasks.rows import BadRow
from flantune.tasks.sources.files import FileSource
from flantune.tasks.sources.formats import FileFormat, read_rows
from flantune.types import Row, Source

MAX_CHARACTERS = 16_384
"""Longer documents are cut into several, at line ends if possible; reading on from the middle of one stays fast."""
TEXT_SUFFIXES = (".txt", ".md", ".text")
_BATCH_TEXTS = 1_024
_VERSION = 1
"""Part of every corpus's identity. Increase it when the same files would yield other documents."""


class Corpus(Protocol):
    """An endless numbered sequence of documents."""

    @property
    def name(self) -> str:
        """The name under which its loss is reported."""

    @property
    def identity(self) -> str:
        """A string that changes when any document does."""

    @property
    def size(self) -> int | None:
        """Number of different documents; None if they never repeat."""

    def __getitem__(self, number: int) -> str:
        """The document with this number, always the same, of at most ``MAX_CHARACTERS``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCorpus:
    """Documents from files or a dataset, stored on disk; see ``read_corpus``.

    Attributes:
        texts: All documents, in the order of the files.
        identity: Digest of the content and of how it is read.
        seed: Seed of the order. None: the order of the files in every pass.
        name: The name under which its loss is reported.
    """

    texts: ArrowFile
    identity: str
    seed: int | None
    name: str = "text"

    @property
    def size(self) -> int:
        """Number of documents."""
        return self.texts.rows

    def __getitem__(self, number: int) -> str:
        """The document with this number. After the last one all are repeated, in a new order if they are shuffled."""
        turn, place = divmod(number, self.size)
        if self.seed is not None:
            place = permute(place, self.size, stream_key(self.seed, "corpus", turn))
        batch, row = self.texts.place(place)
        return str(self.texts.batch(batch).column(0)[row].as_py())


def read_corpus(paths: Sequence[Path], *, cache: Path, column: str = "text", seed: int | None = 0) -> FileCorpus:
    """The documents of files and folders.

    A plain-text file is one document. In files of rows (JSON lines, Parquet, CSV …) each row is one. Empty documents
    are left out, and long ones are cut into several.

    Args:
        paths: Files, globs or folders; a folder stands for all files in and below it.
        cache: Folder in which the documents are stored by number, so that the files are read only once.
        column: Name of the column that holds the text.
        seed: Seed of the order. None: the order of the files.

    Raises:
        SourceError: A file is missing, cannot be read or has no such column, or there is no text at all.
    """
    for path in paths:
        if is_folder(path) and not any(one.is_file() for one in path.rglob("*")):
            raise SourceError("the folder contains no file", where=str(path), hint="name files that contain text")
    patterns = tuple(f"{path}/**/*" if is_folder(path) else str(path) for path in paths)
    source = FileSource(files={"text": patterns})
    told = repr((_VERSION, MAX_CHARACTERS, column, source.fingerprint("text")))
    texts = (text for path in source.paths("text") for text in _documents(path, column))
    return _kept(texts, told, cache=cache, seed=seed, where=", ".join(map(str, paths)))


def read_rows_corpus(
    source: Source, split: str, *, cache: Path, column: str = "text", seed: int | None = 0
) -> FileCorpus:
    """The documents of a dataset, for example from the hub: one column, one document per row.

    Args:
        source: Where the rows are.
        split: The split to read.
        cache: Folder in which the documents are stored by number, so that the rows are read only once.
        column: Name of the column that holds the text.
        seed: Seed of the order. None: the order of the rows.

    Raises:
        SourceError: The data cannot be found, has no such column, or there is no text at all.
    """
    where = source.describe(split)
    rows = enumerate(source.rows(split))
    wholes = (_text(row, column, place=f"{where}, row {at}") for at, row in rows)
    told = repr((_VERSION, MAX_CHARACTERS, column, source.fingerprint(split)))
    return _kept(_cut(wholes), told, cache=cache, seed=seed, where=where)


def _kept(texts: Iterable[str], told: str, *, cache: Path, seed: int | None, where: str) -> FileCorpus:
    """The documents stored on disk under a digest of their origin; they are read from it if they are not there yet."""
    identity = sha256(told.encode()).hexdigest()[:32]
    stored = cache / identity / "texts.arrow"
    # The checksums are written last: if they exist, the file is complete.
    if not sums_path(stored).is_file():
        stored.parent.mkdir(parents=True, exist_ok=True)
        _store(stored, texts)
    kept = ArrowFile(stored)
    if not kept.rows:
        raise SourceError("there is no text", where=where, hint="name files that contain text")
    return FileCorpus(texts=kept, identity=identity, seed=seed)


def _store(path: Path, texts: Iterable[str]) -> None:
    writer, left = ArrowWriter(path, pa.schema([("text", pa.string())])), iter(texts)
    try:
        while block := list(islice(left, _BATCH_TEXTS)):
            writer.write(pa.record_batch([pa.array(block, pa.string())], schema=writer.schema))
        writer.close()
    except BaseException:
        writer.abandon()
        raise


def _documents(path: Path, column: str) -> Iterator[str]:
    if path.suffix.lower() in TEXT_SUFFIXES:
        wholes: Iterable[str] = [read_text(path, error=SourceError, what="text file")]
    else:
        wholes = (_text(row, column, place=f"{path}, row {at}") for at, row in enumerate(read_rows(path, FileFormat())))
    return _cut(wholes)


def _cut(wholes: Iterable[str]) -> Iterator[str]:
    return (part for whole in wholes for part in cut_at_lines(whole, MAX_CHARACTERS) if part.strip())


def _text(row: Row, column: str, *, place: str) -> str:
    try:
        text = row[column]
    except KeyError:
        hint = did_you_mean(column, row) or f"it has {', '.join(row)}"
        raise SourceError(f"there is no column {column!r}", where=place, hint=hint) from None
    except BadRow as bad:
        raise SourceError(f"{bad.reason}: {bad.detail}", where=place) from None
    if not isinstance(text, str):
        raise SourceError(f"the column {column!r} has {type(text).__name__}, expected text", where=place)
    return text


def cut_at_lines(text: str, longest: int) -> Iterator[str]:
    r"""The text in parts of limited length, cut at line ends where possible.

    >>> list(cut_at_lines("one\ntwo\nthree", 8))
    ['one\ntwo\n', 'three']
    """
    start = 0
    while len(text) - start > longest:
        stop = text.rfind("\n", start, start + longest) + 1 or start + longest
        yield text[start:stop]
        start = stop
    yield text[start:]
