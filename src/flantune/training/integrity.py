"""Whether a folder is unchanged: size and checksum of every file, in a separate file."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
_CHUNK = 2**22


def record_of(files: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Size and CRC-32 of files by name, to compare with later.

    This detects accidents (a truncated file, a flipped bit), so a checksum that runs at the speed of memory is enough:
    it detects every run of up to 32 wrong bits, and all but one in four billion of other faults.

    Raises:
        OSError: A file cannot be read.
    """
    return {file.name: {"bytes": file.stat().st_size, "crc32": checksum(file)} for file in files}


def write_record(folder: Path, record: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes the record of a folder's files beside them, with its own checksum."""
    content = {"files": dict(record), "crc32": _own_checksum(record)}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1), encoding="utf-8")


def damage_of(folder: Path, *, share: int = 0, shares: int = 1) -> str:
    """What is wrong with the files of a folder, in words; empty if they are unchanged.

    Args:
        folder: A folder with a record.
        share: Check only this part of the files.
        shares: Number of parts: one per process, say.
    """
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        record: dict[str, dict[str, Any]] = content["files"]
        if content["crc32"] != _own_checksum(record):
            return _changed(MANIFEST)
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{MANIFEST} cannot be read ({error})"
    found = (_file_damage(folder / name, **record[name]) for name in sorted(record)[share::shares])
    return ", ".join(filter(None, found))


def checksum(file: Path) -> str:
    """CRC-32 of a file's content, eight hexadecimal digits.

    Raises:
        OSError: The file cannot be read.
    """
    value = 0
    with file.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            value = zlib.crc32(chunk, value)
    return f"{value:08x}"


def _file_damage(file: Path, *, bytes: int, crc32: str) -> str:  # noqa: A002 - the names of the record
    try:
        there = file.stat().st_size
        if there != bytes:
            return f"{file.name} has {there:,} bytes of {bytes:,}"
        return "" if checksum(file) == crc32 else _changed(file.name)
    except FileNotFoundError:
        return f"{file.name} is missing"
    except OSError as error:
        return f"{file.name} cannot be read ({error.strerror or error})"


def _changed(name: str) -> str:
    return f"{name} is not what was written (its checksum differs)"


def _own_checksum(record: Mapping[str, Mapping[str, Any]]) -> str:
    return f"{zlib.crc32(json.dumps(record, sort_keys=True).encode()):08x}"
