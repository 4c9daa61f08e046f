"""A store of computed values, under hashes of what they were computed from, safe against ``kill -9``."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import struct
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from flantune.errors import EvaluationError

if TYPE_CHECKING:
    from flantune.types import Int32

JsonValue = None | bool | int | float | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"]
"""A stored value: anything in JSON. Numbers are preserved bit for bit."""

_SUFFIX = ".shard"
_MAGIC = b"FTs1"
_HEADER = struct.Struct("<4sIII")
_KEY_BYTES = 16
# Number of decoded frames in memory; they are usually read in the order in which they were written.
_CACHED_FRAMES = 4


def content_key(scope: str, *parts: Int32) -> str:
    """The key of a computation: 32 hexadecimal digits over a scope and any number of token sequences.

    The borders between sequences count.

    Args:
        scope: What the value depends on besides the tokens: weights, tokenizer, dtype, settings.
        parts: Token ids, in order: a context, then its options.

    >>> one = content_key("model", np.array([1, 2]), np.array([3]))
    >>> one == content_key("model", np.array([1]), np.array([2, 3])), len(one)
    (False, 32)
    """
    digest = hashlib.blake2b(scope.encode("utf-8"), digest_size=_KEY_BYTES)
    for part in parts:
        tokens = np.ascontiguousarray(part, dtype="<i4")
        digest.update(struct.pack("<I", tokens.size))
        digest.update(tokens.data)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Frame:
    """A batch of values on disk: the place of its compressed values."""

    path: Path
    offset: int
    size: int


class ScoreStore:
    """Values by content, in a folder of append-only files, one per process.

    ``add`` appends one frame (keys, compressed values, checksum) and waits until it is on the disk, so a killed process
    only loses its current batch; an incomplete frame is skipped. The first value of a key is never rewritten or
    replaced. Several processes may read and write one folder; each appends to its own file and sees what the others had
    written when it was opened (or last refreshed).

    Memory: about 150 bytes per key; values are read on demand.

    Args:
        folder: The folder of the files, created with the first value.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._frame_of: dict[bytes, int] = {}
        self._frames: list[_Frame] = []
        self._read_to: dict[Path, int] = {}
        self._cached: OrderedDict[int, dict[bytes, JsonValue]] = OrderedDict()
        self._own: Path | None = None
        self.refresh()

    def __len__(self) -> int:
        return len(self._frame_of)

    def __contains__(self, key: str) -> bool:
        return bytes.fromhex(key) in self._frame_of

    def find(self, keys: Iterable[str]) -> dict[str, JsonValue]:
        """The values of those keys that exist; each stretch of a file is read once."""
        by_frame: dict[int, list[str]] = {}
        for key in keys:
            number = self._frame_of.get(bytes.fromhex(key))
            if number is not None:
                by_frame.setdefault(number, []).append(key)
        return {key: self._values(number)[bytes.fromhex(key)] for number in by_frame for key in by_frame[number]}

    def add(self, entries: Mapping[str, JsonValue]) -> None:
        """Stores values; those with an existing key are skipped.

        Raises:
            EvaluationError: The disk is full or the folder cannot be written.
        """
        fresh = {raw: value for key, value in entries.items() if (raw := bytes.fromhex(key)) not in self._frame_of}
        if not fresh:
            return
        try:
            frame = self._append(fresh)
        except OSError as error:
            # Nothing after an incomplete frame is ever read, so this file is no longer written to.
            self._own = None
            hint = "free some space or set evaluation.store to another folder, then repeat the command"
            where = str(self.folder)
            raise EvaluationError(f"cannot be written: {error.strerror or error}", where=where, hint=hint) from error
        self._frames.append(frame)
        self._frame_of |= dict.fromkeys(fresh, len(self._frames) - 1)
        self._cache(len(self._frames) - 1, dict(fresh))

    def refresh(self) -> None:
        """Reads what other processes have added."""
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            if path != self._own and path.is_file():
                self._scan(path)

    def _scan(self, path: Path) -> None:
        try:
            with path.open("rb") as handle:
                handle.seek(self._read_to.get(path, 0))
                for keys, frame in _frames(handle, path):
                    self._frames.append(frame)
                    for key in keys:
                        self._frame_of.setdefault(key, len(self._frames) - 1)
                    self._read_to[path] = frame.offset + frame.size
        except OSError as error:
            hint = "delete the file: what it held is computed again"
            raise EvaluationError(f"cannot be read: {error.strerror}", where=str(path), hint=hint) from error

    def _append(self, entries: Mapping[bytes, JsonValue]) -> _Frame:
        if self._own is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._own = self.folder / f"{secrets.token_hex(8)}{_SUFFIX}"
        values = json.dumps(list(entries.values()), separators=(",", ":"), allow_nan=False)
        body, keys = zlib.compress(values.encode("utf-8"), 6), b"".join(entries)
        header = _HEADER.pack(_MAGIC, len(entries), len(body), zlib.crc32(keys + body))
        with self._own.open("ab") as handle:
            start = handle.tell()
            handle.write(header + keys + body)
            handle.flush()
            os.fsync(handle.fileno())
        return _Frame(self._own, start + len(header) + len(keys), len(body))

    def _values(self, number: int) -> dict[bytes, JsonValue]:
        if number in self._cached:
            self._cached.move_to_end(number)
            return self._cached[number]
        frame = self._frames[number]
        with frame.path.open("rb") as handle:
            keys, values = _read_frame(handle, frame)
        found: dict[bytes, JsonValue] = dict(zip(keys, values, strict=True))
        self._cache(number, found)
        return found

    def _cache(self, number: int, values: dict[bytes, JsonValue]) -> None:
        self._cached[number] = values
        while len(self._cached) > _CACHED_FRAMES:
            self._cached.popitem(last=False)


def _frames(handle: BinaryIO, path: Path) -> Iterator[tuple[list[bytes], _Frame]]:
    """The complete frames from here on, up to one that is incomplete or being written by another process."""
    while len(header := handle.read(_HEADER.size)) == _HEADER.size:
        magic, count, size, checksum = _HEADER.unpack(header)
        if magic != _MAGIC:
            return
        keys = handle.read(count * _KEY_BYTES)
        offset = handle.tell()
        body = handle.read(size)
        if zlib.crc32(keys + body) != checksum or len(body) < size:
            return
        yield _split(keys), _Frame(path, offset, size)


def _read_frame(handle: BinaryIO, frame: _Frame) -> tuple[list[bytes], list[JsonValue]]:
    handle.seek(frame.offset)
    values: list[JsonValue] = json.loads(zlib.decompress(handle.read(frame.size)))
    handle.seek(frame.offset - len(values) * _KEY_BYTES)
    return _split(handle.read(len(values) * _KEY_BYTES)), values


def _split(keys: bytes) -> list[bytes]:
    return [keys[at : at + _KEY_BYTES] for at in range(0, len(keys), _KEY_BYTES)]
