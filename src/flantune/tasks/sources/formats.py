"""Rows from files: CSV, TSV, JSON, JSON lines, Parquet, aligned text; plain, gz or zst."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from dataclasses import dataclass
from itertools import zip_longest
from typing import IO, TYPE_CHECKING, Any, Literal

from flantune.errors import SourceError, did_you_mean
from flantune.tasks.rows import NOT_AN_OBJECT, NOT_JSON, UnreadableRow, short
from flantune.tasks.sources.mistaken_files import check_is_data
from flantune.tasks.sources.tables import read_table, without_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

    from flantune.types import Row

FormatName = Literal["csv", "tsv", "jsonl", "json", "parquet", "lines"]
Quoting = Literal["none", "standard"]

_BY_SUFFIX: dict[str, FormatName] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
}
_COMPRESSIONS = (".gz", ".zst")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    r"""The format of files, if it does not follow from their names.

    Attributes:
        name: The format; None: by the file's suffix.
        columns: Names of the columns of a CSV or TSV file without a header.
        header: Whether the first row is a header; None: exactly when ``columns`` is empty.
        delimiter: Separator of cells; None: a comma for CSV, a tab for TSV.
        quoting: "standard" interprets CSV's quotes; "none" keeps quote characters as text, one row per line.
            None: "standard" for CSV, "none" for TSV.
        encoding: The text encoding. A byte-order mark is skipped.
        key: The list of rows inside a JSON object; empty: its only list.
        written_line_breaks: The two characters ``\n`` in a cell of a table are a line break.
    """

    name: FormatName | None = None
    columns: tuple[str, ...] = ()
    header: bool | None = None
    delimiter: str | None = None
    quoting: Quoting | None = None
    encoding: str = "utf-8"
    key: str = ""
    written_line_breaks: bool = False


def format_of(path: Path, form: FileFormat) -> FormatName:
    """The format of a file, by setting or else by its name.

    >>> from pathlib import Path
    >>> format_of(Path("a/train.jsonl.gz"), FileFormat())
    'jsonl'

    Raises:
        SourceError: The format does not follow from the name.
    """
    if form.name is not None:
        return form.name
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in _COMPRESSIONS]
    if suffixes and suffixes[-1] in _BY_SUFFIX:
        return _BY_SUFFIX[suffixes[-1]]
    raise SourceError(
        f"cannot tell the format by the name {path.name}",
        where=str(path),
        hint='set [source] format = "csv", "tsv", "jsonl", "json", "parquet" or "lines"',
    )


def read_rows(path: Path, form: FileFormat) -> Iterator[Row]:
    """All rows of a file in order, in constant memory (a ``.json`` file is read at once).

    Rows that cannot be parsed are yielded as ``UnreadableRow``.

    Raises:
        SourceError: The file cannot be read.
    """
    reader = _READERS[format_of(path, form)]
    try:
        if reader is not _read_lines:
            check_is_data(path)
        yield from reader(path, form)
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        is_packed = path.suffix.lower() in _COMPRESSIONS
        hint = f"get the file again; if it is not compressed, take {path.suffix} off its name" if is_packed else ""
        raise SourceError(f"cannot be read: {why}", where=str(path), hint=hint) from error
    except (UnicodeError, LookupError) as error:
        raise SourceError(
            f"cannot be read as {form.encoding}: {error}", where=str(path), hint="set [source] encoding"
        ) from error


def read_aligned(paths: Mapping[str, Path], form: FileFormat) -> Iterator[Row]:
    """Rows of several text files side by side: the n-th lines of all files make the n-th row.

    Args:
        paths: Column name to file.
        form: The format, which gives the encoding.

    Raises:
        SourceError: A file cannot be read, or one has fewer lines than another.
    """
    form = FileFormat(name="lines", encoding=form.encoding)
    columns = tuple(paths)
    for number, lines in enumerate(zip_longest(*(read_rows(path, form) for path in paths.values()))):
        if None in lines:
            ended = paths[columns[lines.index(None)]]
            raise SourceError(
                f"has {number} lines, fewer than the files it is aligned with",
                where=str(ended),
                hint="aligned files need the same number of lines",
            )
        yield {column: line["text"] for column, line in zip(columns, lines, strict=True)}


def open_binary(path: Path) -> IO[bytes]:
    """The bytes of a file, decompressed by its suffix."""
    if path.suffix == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]  # GzipFile reads like IO[bytes]
    if path.suffix == ".zst":
        import pyarrow as pa

        # Not zstandard's own reader, which accepts a truncated file as complete.
        return pa.input_stream(str(path), compression="zstd")  # type: ignore[no-any-return]
    return path.open("rb")


def _open_text(path: Path, encoding: str, *, newline: str) -> io.TextIOWrapper:
    with_mark = "utf-8-sig" if encoding.lower().replace("_", "-") in {"utf-8", "utf8"} else encoding
    # Undecodable bytes become lone surrogates, which are found and counted when the text is used.
    return io.TextIOWrapper(open_binary(path), encoding=with_mark, errors="surrogateescape", newline=newline)


def _read_lines(path: Path, form: FileFormat) -> Iterator[Row]:
    with _open_text(path, form.encoding, newline="\n") as lines:
        for line in lines:
            yield {"text": without_end(line)}


def _read_json_lines(path: Path, form: FileFormat) -> Iterator[Row]:
    with _open_text(path, form.encoding, newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.isspace():
                yield _parse_object(line, number)


def _parse_object(line: str, number: int) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return UnreadableRow(NOT_JSON, f"line {number}: {error}; got {short(line.strip())}")
    return _as_row(row, f"line {number}")


def _as_row(row: Any, place: str) -> Row:
    if isinstance(row, dict):
        return row
    return UnreadableRow(NOT_AN_OBJECT, f"{place}: got {type(row).__name__} {short(row)}; expected an object")


def _read_json(path: Path, form: FileFormat) -> Iterator[Row]:
    with _open_text(path, form.encoding, newline="\n") as text:
        try:
            tree = json.load(text)
        except RecursionError:
            raise SourceError("is not valid JSON: nested too deeply", where=str(path)) from None
        except UnicodeError:
            raise
        except ValueError as error:
            hint = 'if every line is an object, end its name in .jsonl, or set [source] format = "jsonl"'
            hint = hint if "Extra data" in str(error) else ""
            what = str(error).partition(";")[0]
            raise SourceError(f"is not valid JSON: {what}", where=str(path), hint=hint) from None
    for number, row in enumerate(_find_list(tree, path, form.key)):
        yield _as_row(row, f"item {number}")


def _find_list(tree: Any, path: Path, key: str) -> list[Any]:
    if isinstance(tree, list) and not key:
        return tree
    lists = {name: value for name, value in tree.items() if isinstance(value, list)} if isinstance(tree, dict) else {}
    if key in lists:
        return lists[key]
    if not key and len(lists) == 1:
        return next(iter(lists.values()))
    names = ", ".join(f'"{name}"' for name in lists) or "none"
    wanted = f'no list under the key "{key}"' if key else "not one list of rows"
    hint = did_you_mean(key, lists) if key else "set [source] key to the list that holds the rows"
    if isinstance(tree, dict) and not key and not lists:
        wanted, hint = (
            "holds one object, and no list of rows",
            "put [ ] around the row, or end the file's name in .jsonl",
        )
        raise SourceError(wanted, where=str(path), hint=hint)
    raise SourceError(f"{wanted}; lists there: {names}", where=str(path), hint=hint)


def _read_parquet(path: Path, form: FileFormat) -> Iterator[Row]:  # noqa: ARG001 - one signature for all readers
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=512):
                yield from as_written(batch.to_pylist(), file.schema_arrow)
    except (ValueError, MemoryError, pa.ArrowException, OverflowError) as error:  # a bad length may ask for much memory
        size = path.stat().st_size
        is_other = "magic bytes" in str(error)
        why = "it is cut off, or of another format" if is_other else str(error).partition("\n")[0]
        why = why if size else "it is empty"
        hint = "get the file again; if it is of another format, say which: [source] format"
        raise SourceError(f"is not a readable Parquet file: {why}", where=str(path), hint=hint) from error


def as_written(rows: Iterable[Row], schema: pa.Schema) -> Iterator[Row]:
    """Rows with narrow floats as they would be written: 0.1, as in a text file, instead of 0.10000000149011612."""
    narrow = [field for field in schema if _is_narrow(field.type)]
    for row in rows:
        yield {**row, **{one.name: _value_as_written(row[one.name], one.type) for one in narrow}} if narrow else row


def _is_narrow(kind: pa.DataType) -> bool:
    """Whether a type is, or contains, floats with fewer bits than Python's."""
    import pyarrow as pa

    is_float = pa.types.is_float32(kind) or pa.types.is_float16(kind)
    return is_float or (
        pa.types.is_nested(kind) and any(_is_narrow(kind.field(k).type) for k in range(kind.num_fields))
    )


def _value_as_written(value: Any, kind: pa.DataType) -> Any:
    if isinstance(value, list):
        return [_value_as_written(item, kind.field(0).type) for item in value]
    if isinstance(value, dict):
        types = {kind.field(k).name: kind.field(k).type for k in range(kind.num_fields)}
        return {name: _value_as_written(item, types[name]) for name, item in value.items()}
    if not isinstance(value, float) or not _is_narrow(kind):
        return value
    return float(str(kind.to_pandas_dtype()(value)))


def _read_table(path: Path, form: FileFormat) -> Iterator[Row]:
    is_csv = format_of(path, form) == "csv"
    quoting = form.quoting or ("standard" if is_csv else "none")
    yield from read_table(
        lambda: _open_text(path, form.encoding, newline="" if quoting == "standard" else "\n"),
        path,
        delimiter=form.delimiter or ("," if is_csv else "\t"),
        is_quoted=quoting == "standard",
        columns=form.columns,
        has_header=not form.columns if form.header is None else form.header,
        written_line_breaks=form.written_line_breaks,
    )


_READERS: dict[FormatName, Callable[[Path, FileFormat], Iterator[Row]]] = {
    "csv": _read_table,
    "tsv": _read_table,
    "jsonl": _read_json_lines,
    "json": _read_json,
    "parquet": _read_parquet,
    "lines": _read_lines,
}
