"""GGUF files, read once per process: later requests, including those of transformers, get the same reader."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from flantune.errors import ModelError

_NEEDED = "in flantune's folder: pip install -e '.[gguf]'"


def is_gguf(path: str | Path) -> bool:
    """Whether a model's path names a GGUF file.

    >>> is_gguf("models/small.Q4_1.gguf"), is_gguf("org/model-gguf")
    (True, False)
    """
    return str(path).lower().endswith(".gguf")


def require_gguf(*, where: str) -> None:
    """Checks that the package for reading and writing such files is installed.

    Raises:
        ModelError: The package is not installed.
    """
    if find_spec("gguf") is None:
        raise ModelError("GGUF files need the package gguf, which is not installed", where=where, hint=_NEEDED)


def open_gguf(path: Path) -> Any:
    """The reader of a file; opened again only if the file has changed.

    Raises:
        ModelError: There is no such file, it is damaged, or the package ``gguf`` is not installed.
    """
    require_gguf(where=str(path))
    try:
        return _opened(path)
    except FileNotFoundError as error:
        raise ModelError("no such file", where=str(path), hint="check the path") from error
    except (OSError, ValueError, IndexError, KeyError, OverflowError, struct.error) as error:
        hint = "fetch the file again; its sha256 tells whether it came through whole"
        raise ModelError(f"not a GGUF file, or a damaged one: {error}", where=str(path), hint=hint) from error


@contextmanager
def located(path: str) -> Iterator[dict[str, str]]:
    """Arguments for transformers' loaders to load a model from a folder, a hub id or a GGUF file; for one block.

    >>> with located("org/model") as place:
    ...     place
    {'pretrained_model_name_or_path': 'org/model'}
    """
    if not is_gguf(path):
        yield {"pretrained_model_name_or_path": path}
        return
    with located_file(Path(path)) as place:
        yield place


@contextmanager
def located_file(path: Path) -> Iterator[dict[str, str]]:
    """Like ``located``, for a GGUF file with any name.

    Within the block, the loaders use the existing reader and build the table of tensor names once. On their own they
    read the file again for config, weights and tokenizer, and build the table for every module.
    """
    require_gguf(where=str(path))
    import gguf

    # The loaders look both up at each call, so these replacements are used.
    library: Any = gguf
    reader, table = library.GGUFReader, library.get_tensor_name_map
    library.GGUFReader, library.get_tensor_name_map = lambda file: _opened(Path(file)), cache(table)
    try:
        yield {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    finally:
        library.GGUFReader, library.get_tensor_name_map = reader, table


def _opened(path: Path) -> Any:
    found = path.stat()
    return _read(_Version(path=path.resolve(), size=found.st_size, changed_ns=found.st_mtime_ns))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """A version of a file."""

    path: Path
    size: int
    changed_ns: int


@lru_cache(maxsize=1)
def _read(version: _Version) -> Any:
    return _plain_reader()(str(version.path))


@cache
def _plain_reader() -> Any:
    """The library's reader on a plain array.

    A view of a memory-mapped array is several times slower than one of a plain array, and the reader makes two for each
    word of the vocabulary. The memory is the same.
    """
    from gguf.gguf_reader import GGUFReader

    class PlainReader(GGUFReader):
        """Reads from a plain view of the mapped file."""

        @property  # type: ignore[override]
        def data(self) -> np.ndarray[Any, Any]:
            """The whole file."""
            return self._plain

        @data.setter
        def data(self, mapped: np.ndarray[Any, Any]) -> None:
            self._plain = mapped.view(np.ndarray)

    return PlainReader
