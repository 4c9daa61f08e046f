"""Files that are either whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

from flantune.errors import FlantuneError

_LONGEST_SLUG = 120


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that appears under its name when the block ends well, and not at all otherwise.

    Raises:
        FlantuneError: The folder cannot be written or the disk is full.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp", delete=False) as handle:
            temporary = Path(handle.name)
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        open_as_usual(temporary)
        temporary.replace(path)
    except OSError as error:
        hint = "free some space or choose another folder, then repeat the command"
        raise FlantuneError(f"cannot be written: {error.strerror or error}", where=str(path), hint=hint) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def open_as_usual(*paths: Path) -> None:
    """Gives files the rights of any new file here (the umask's): made under a temporary name, they have the owner's."""
    mask = os.umask(0o077)
    os.umask(mask)
    for path in paths:
        path.chmod(0o666 & ~mask)


def write_text(path: Path, text: str) -> Path:
    """Writes a file so that a reader finds the old content or the new, never half of it.

    Raises:
        FlantuneError: The folder cannot be written or the disk is full; nothing half-written stays behind.
    """
    with whole_file(path) as handle:
        handle.write(text.encode("utf-8"))
    return path


def write_json(path: Path, value: object) -> Path:
    """Writes indented JSON, whole or not at all; not-a-number becomes null."""
    return write_text(path, json.dumps(without_nan(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        FlantuneError: The file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FlantuneError("no such file", where=str(path), hint="is this a finished run folder?") from None
    except (OSError, ValueError) as error:
        raise FlantuneError(f"cannot be read: {error}", where=str(path)) from None


def near_file(path: Path) -> str:
    """A suggestion for a file that is not there: one beside it with a name alike, or the empty string.

    Names are compared without their endings, which would make any two files alike. A task file or a run file is never
    taken for data, nor data for one of them.
    """
    if not path.parent.is_dir():
        return ""
    is_toml = path.suffix == ".toml"
    beside = [other for other in sorted(path.parent.iterdir()) if (other.suffix == ".toml") == is_toml]
    alike = get_close_matches(path.stem, [other.stem for other in beside], n=1)
    named = [other.name for other in beside if other.stem in alike]
    return f'did you mean "{named[0]}"?' if named else ""


def without_nan(value: object) -> object:
    """The value with every NaN and infinity replaced by None, which JSON can say.

    >>> without_nan({"a": [1.0, float("nan")]})
    {'a': [1.0, None]}
    """
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return value


def slug(*names: str) -> str:
    """A name fit for a folder, from one or more names.

    >>> slug("closed-book QA", "struct to text")
    'closed-book-qa+struct-to-text'

    Letters of all scripts stay, or else names without a Latin one would share a folder.

    >>> slug("推論", "Übersetzung")
    '推論+übersetzung'

    A very long one is cut, and ends in a digest of the whole: file systems allow 255 bytes.

    >>> len(slug(*(f"task number {k}" for k in range(100))))
    120
    """
    whole = "+".join("-".join(re.findall(r"[^\W_]+", name.lower())) for name in names)
    encoded = whole.encode()
    if len(encoded) <= _LONGEST_SLUG:
        return whole
    start = encoded[: _LONGEST_SLUG - 9].decode(errors="ignore")
    return f"{start}-{hashlib.sha256(encoded).hexdigest()[:8]}"
