"""Arrow files that detect damage: one checksum per block, compared before Arrow reads it.

Arrow trusts what it maps: one flipped bit in an offset crashes the process or returns another row. The checksums of
``rows.arrow`` are in ``rows.arrow.sums`` beside it. A block is checked when one of its rows is first read, so the time
to open a file does not depend on the number of rows.
"""

from __future__ import annotations

import io
import json
import zlib
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from flantune.errors import SourceError
from flantune.system.files import check_regular

_SUFFIX = ".sums"


class DamagedStoreError(SourceError):
    """Adapted examples on disk are damaged; they can be adapted again."""


class ArrowWriter:
    """Writes record batches and, when closed, the checksums of what was written."""

    def __init__(self, path: Path, schema: Any) -> None:
        self._path, self.schema = path, schema
        self._sink = _Summing(path)
        self._writer = pa.ipc.new_file(self._sink, schema)
        self._blocks: list[tuple[int, int, str]] = []

    def write(self, batch: Any) -> None:
        """Adds a batch: one block of the file."""
        self._writer.write_batch(batch)
        self._blocks.append((self._sink.position, batch.num_rows, self._sink.take_sum()))

    def close(self) -> None:
        """Writes the file's end and its checksums."""
        self._writer.close()
        self._blocks.append((self._sink.position, 0, self._sink.take_sum()))
        self._sink.close()
        record = {"blocks": self._blocks, "crc32": _own_sum(self._blocks)}
        sums_path(self._path).write_text(json.dumps(record), encoding="utf-8")

    def abandon(self) -> None:
        """Closes the file after an error; its content is unusable."""
        with suppress(OSError, pa.ArrowException, ValueError):
            self._writer.close()
        with suppress(OSError):
            self._sink.close()


class ArrowFile:
    """A file's record batches, memory-mapped, each checked before it is first read.

    Attributes:
        names: Of the columns.
        rows: In all batches.
    """

    __slots__ = ("_batches", "_blocks", "_buffer", "_first", "_path", "_reader", "names", "rows")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._blocks = _read_sums(path)
        self._buffer = _explained(path, lambda: _map(path))
        if len(self._buffer) != self._blocks[-1][0]:
            raise _damaged(path, f"has {len(self._buffer):,} bytes of {self._blocks[-1][0]:,}")
        self._check(len(self._blocks) - 1)
        self._reader = _explained(path, lambda: pa.ipc.open_file(self._buffer))
        self.names: list[str] = self._reader.schema.names
        self._first = [0]
        for _, rows, _ in self._blocks[:-1]:
            self._first.append(self._first[-1] + rows)
        self.rows = self._first[-1]
        self._batches: list[Any] = [None] * (len(self._blocks) - 1)

    def __len__(self) -> int:
        return len(self._batches)

    def place(self, row: int) -> tuple[int, int]:
        """The batch that holds a row, and the row's number in it."""
        number = bisect_right(self._first, row) - 1
        return number, row - self._first[number]

    def batch(self, number: int) -> Any:
        """One record batch.

        Raises:
            DamagedStoreError: The batch is not what was written.
        """
        # Two threads may both read it: the results are equal, and the assignment is atomic.
        if self._batches[number] is None:
            self._check(number)
            self._batches[number] = _explained(self._path, lambda: self._reader.get_batch(number))
        return self._batches[number]

    def check(self) -> None:
        """Checks every block.

        Raises:
            DamagedStoreError: A block is not what was written.
        """
        for number in range(len(self._blocks)):
            self._check(number)

    def _check(self, number: int) -> None:
        stop, _, crc = self._blocks[number]
        start = self._blocks[number - 1][0] if number else 0
        if f"{zlib.crc32(memoryview(self._buffer)[start:stop]):08x}" != crc:
            raise _damaged(self._path, f"is not what was written (bytes {start:,} to {stop:,})")


def sums_path(path: Path) -> Path:
    """Where the checksums of an Arrow file are."""
    return path.with_name(path.name + _SUFFIX)


class _Summing(io.RawIOBase):
    """A file that computes a checksum of what is written to it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("wb")
        self._crc = self.position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._crc = zlib.crc32(view, self._crc)
        self.position += len(view)
        self._file.write(view)
        return len(view)

    def take_sum(self) -> str:
        """The checksum since the last call."""
        crc, self._crc = self._crc, 0
        return f"{crc:08x}"

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _map(path: Path) -> Any:
    check_regular(path)
    with pa.memory_map(str(path)) as file:
        return file.read_buffer()


def _read_sums(path: Path) -> list[tuple[int, int, str]]:
    try:
        check_regular(sums_path(path))
        record = json.loads(sums_path(path).read_text(encoding="utf-8"))
        blocks = [(int(stop), int(rows), str(crc)) for stop, rows, crc in record["blocks"]]
        if record["crc32"] != _own_sum(blocks) or not blocks:
            raise ValueError("its own checksum differs")
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise _damaged(sums_path(path), f"cannot be read: {why}") from None
    return blocks


def _explained(path: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (OSError, ValueError, pa.ArrowException, MemoryError) as error:
        why = getattr(error, "strerror", None) or error
        raise _damaged(path, f"cannot be read: {why}") from None


def _damaged(path: Path, what: str) -> DamagedStoreError:
    hint = f"delete the folder {path.parent} and repeat the command: its rows are adapted again"
    return DamagedStoreError(f"adapted examples are damaged: the file {what}", where=str(path), hint=hint)


def _own_sum(blocks: list[tuple[int, int, str]]) -> str:
    return f"{zlib.crc32(json.dumps(blocks).encode()):08x}"
