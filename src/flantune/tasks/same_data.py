"""Whether two tasks are made from the same data, whatever they are called: one hub dataset, one file, equal files."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.tasks.sources.formats import open_binary

if TYPE_CHECKING:
    from flantune.types import Source

_FIRST_BYTES = 1 << 16
_BLOCK = 1 << 20


def same_source(one: Source, other: Source) -> str:
    """Why two sources have the same data, or the empty string.

    Slices, revisions, links, compression, line ends and names are ignored: rows of one file are kin to its other rows,
    as are the splits of one dataset. The same rows in another format, order or selection are not detected.
    """
    if is_same_hub(left := hub_name(one), hub_name(other)):
        return f"both are made from the same source, {left} of the hub"
    left_files, right_files = one.files_here(), other.files_here()
    if common := left_files & right_files:
        return f"both read the same file, {min(common).name}"
    # The beginnings of files distinguish nearly all pairs, so whole files are read only if these are equal.
    left_starts, right_starts = _beginnings(left_files), _beginnings(right_files)
    for start in sorted(left_starts.keys() & right_starts.keys()):
        for path, twin in product(left_starts[start], right_starts[start]):
            if _content(str(path), *_state(path)) == _content(str(twin), *_state(twin)) != "":
                return f"their files {path.name} and {twin.name} hold the same rows"
    return ""


def data_keys(source: Source) -> frozenset[str]:
    """Identifiers of what a source reads: sources without a common one are not the same."""
    files = source.files_here()
    starts = (start.hex() for start in _beginnings(files))
    hub = [source.hub.id.casefold()] if source.hub is not None else []
    return frozenset({*map(str, files), *starts, *hub})


def is_same_hub(one: str, other: str) -> bool:
    """Whether two names mean the same hub dataset; a name without a configuration matches any.

    >>> is_same_hub("nyu-mll/glue:rte", "nyu-mll/GLUE"), is_same_hub("nyu-mll/glue:rte", "nyu-mll/glue:sst2")
    (True, False)
    """
    left, right = one.casefold().partition(":"), other.casefold().partition(":")
    return bool(one and other) and left[0] == right[0] and (not left[2] or not right[2] or left[2] == right[2])


def hub_name(source: Source) -> str:
    """Hub id and configuration of a source, without its revision; empty if it is not from the hub."""
    return source.hub.name if source.hub is not None else ""


def contents_of(files: Iterable[Path]) -> tuple[str, ...]:
    """Digests of the decompressed contents of files, for a later comparison; unreadable files are skipped."""
    found = {_content(str(path), *_state(path)) for path in files}
    return tuple(sorted(found - {""}))


def _beginnings(files: Iterable[Path]) -> dict[bytes, list[Path]]:
    """Files by how they begin: several may begin alike and continue differently."""
    found: dict[bytes, list[Path]] = {}
    for path in sorted(files):
        if start := _beginning(str(path), *_state(path)):
            found.setdefault(start, []).append(path)
    return found


def _state(path: Path) -> tuple[int, int]:
    """Changes with a file."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=65_536)
def _beginning(path: str, size: int, changed: int) -> bytes:  # noqa: ARG001 - they tell one state from another
    start = b""
    try:
        for block in _blocks(Path(path), 2 * _FIRST_BYTES) if size else ():
            start += block
            if len(start) >= _FIRST_BYTES:
                break
    except (OSError, EOFError, ValueError):
        return b""
    return b"" if _is_without_rows(start, path) else sha256(start[:_FIRST_BYTES]).digest()


@lru_cache(maxsize=65_536)
def _content(path: str, size: int, changed: int) -> str:  # noqa: ARG001
    digest, start = sha256(), b""
    try:
        for block in _blocks(Path(path), _BLOCK) if size else ():
            digest.update(block)
            start = start if len(start) >= _FIRST_BYTES else start + block
    except (OSError, EOFError, ValueError):
        return ""
    return "" if _is_without_rows(start, path) else digest.hexdigest()


def _blocks(path: Path, size: int) -> Iterator[bytes]:
    """The decompressed content of a file; texts without byte-order mark and with plain line ends, as on any system."""
    is_text = _form(path) not in {".parquet", ".arrow"}
    block = held = b""
    with open_binary(path) as file:
        is_first = is_text
        while more := file.read(size):
            if not is_text:
                yield more
                continue
            block = held + (more.removeprefix(BOM_UTF8) if is_first else more)
            is_first = False
            held = b"\r" if block.endswith(b"\r") else b""
            block = block.removesuffix(b"\r").replace(b"\r\n", b"\n")
            yield block
    if held or (block and not block.endswith(b"\n")):
        yield held + b"\n"


def _form(path: Path) -> str:
    """The suffix that gives the file's format, without that of its compression."""
    return (Path(path.stem) if path.suffix in {".gz", ".zst"} else path).suffix.lower()


def _is_without_rows(start: bytes, path: str) -> bool:
    """Whether a file has no rows, so that it equals others without being the same data."""
    text = start.strip()
    is_header = _form(Path(path)) in {".csv", ".tsv"} and b"\n" not in text
    return len(start) < _FIRST_BYTES and (text in {b"", b"[]", b"{}"} or is_header)
