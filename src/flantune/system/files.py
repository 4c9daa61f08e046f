"""Files that are either complete or absent."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

from flantune.errors import FlantuneError

_LONGEST_SLUG = 120

MOST_BYTES = 256 * 2**20
"""No file of settings or results is larger; a path to something else, such as a disk, must not fill the memory."""


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name when the block ends successfully, and otherwise does not appear.

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


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder to write into, which replaces the intended one when the block ends successfully.

    If the intended one is the current folder and empty, it is filled: a shell in it would stay in the replaced one.
    """
    folder = folder.resolve()  # "." has no name
    draft, old = (folder.with_name(f".{folder.name}.{state}") for state in ("draft", "old"))
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    yield draft
    open_as_usual(*(path for path in draft.rglob("*") if path.is_file()))
    if folder.is_dir() and folder.samefile(".") and not any(folder.iterdir()):
        for path in draft.iterdir():
            path.rename(folder / path.name)
        draft.rmdir()
        return
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    draft.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def open_as_usual(*paths: Path) -> None:
    """Gives files the usual permissions (by umask); created under a temporary name, they are private."""
    mask = os.umask(0o077)
    os.umask(mask)
    for path in paths:
        path.chmod(0o666 & ~mask)


@contextmanager
def disk_explained() -> Iterator[None]:
    """Wraps writes by libraries: a full or read-only disk becomes a one-sentence error, whatever exception they raise.

    Raises:
        FlantuneError: The disk is full or the folder cannot be written.
    """
    try:
        yield
    except FlantuneError:
        raise
    except Exception as error:  # safetensors and tokenizers have their own exceptions for it
        text = getattr(error, "strerror", None) or str(error)
        if not isinstance(error, OSError) and not re.search(r"os error \d+|No space left|I/O error", text):
            raise
        if number := re.search(r"os error (\d+)", text):
            text = os.strerror(int(number[1]))
        where = str(getattr(error, "filename", None) or "")
        hint = "free some space or choose another folder, then repeat the command"
        raise FlantuneError(f"cannot be written: {text}", where=where, hint=hint) from error


def write_text(path: Path, text: str) -> Path:
    """Writes a file such that a reader finds either the old or the new content.

    Raises:
        FlantuneError: The folder cannot be written or the disk is full; no incomplete file is left.
    """
    with whole_file(path) as handle:
        handle.write(text.encode("utf-8"))
    return path


def write_json(path: Path, value: object) -> Path:
    """Writes indented JSON, completely or not at all; NaN becomes null."""
    return write_text(path, json.dumps(without_nan(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, *, mends: str = "", error: type[FlantuneError] = FlantuneError) -> Any:
    """Reads a JSON file.

    Args:
        path: The file.
        mends: What to do if it is damaged, for the message.
        error: What is raised.

    Raises:
        FlantuneError: The given class: the file is missing or is not JSON.
    """
    text = read_text(path, error=error, hint="is this a finished run folder?")
    try:
        return json.loads(text)
    except RecursionError:
        raise error("not valid JSON: nested too deeply", where=str(path), hint=mends or MENDS) from None
    except ValueError as problem:
        why = str(problem).partition(";")[0]
        raise error(f"not valid JSON: {why}", where=str(path), hint=mends or MENDS) from None


MENDS = "the file is damaged: repeat the command that wrote it, or restore a copy"
"""How to repair most damaged files."""


def read_text(path: Path, *, error: type[FlantuneError], what: str = "file", hint: str = "") -> str:
    """A small file's text, without a byte-order mark.

    Raises:
        FlantuneError: The given class: the file is missing, is a folder, or is not UTF-8.
    """
    where, raw = str(path), b""
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            is_regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            if is_regular:
                raw = file.read(MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise error(f"no such {what}", where=where, hint=near_file(path) or hint) from None
    except IsADirectoryError:
        raise error(f"is a folder; expected a {what}", where=where, hint=hint) from None
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or problem
        raise error(f"cannot be read: {why}", where=where, hint="fix the path or its permissions") from None
    if not is_regular:
        raise error(f"is a device or a pipe; expected a {what}", where=where, hint=hint)
    if len(raw) > MOST_BYTES:
        raise error(f"is larger than {MOST_BYTES // 2**20} MiB, so it is not a {what}", where=where, hint=hint)
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        raise error(
            f"is not text in UTF-8: byte 0x{raw[problem.start]:02x} in line {line}",
            where=where,
            hint="save it as UTF-8",
        ) from None


def check_regular(path: Path) -> None:
    """Makes sure that reading a file ends: a pipe without a writer would block forever.

    Raises:
        OSError: There is no such file, or it is not a regular file.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        is_folder = stat.S_ISDIR(mode)
        raise OSError(errno.EISDIR if is_folder else errno.EINVAL, "is a folder" if is_folder else "is not a file")


def _open_at_once(path: str, flags: int) -> int:
    """Opens a file without blocking on a pipe without a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_file(path: Path) -> bool:
    """Whether a file exists; False for an impossible name."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or with invalid characters
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder exists; False for an impossible name."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_there(path: Path) -> bool:
    """Whether anything with this name exists; False for an impossible name."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def near_file(path: Path) -> str:
    """A suggestion for a missing file: one in the same folder with a similar name, or the empty string.

    Names are compared without their suffixes, which would make any two files similar. Task and run files are never
    suggested for data or the reverse, nor a folder for a file.
    """
    is_toml = path.suffix == ".toml"
    try:
        beside = [other for other in sorted(path.parent.iterdir()) if (other.suffix == ".toml") == is_toml]
    except (OSError, ValueError):
        return ""
    alike = get_close_matches(path.stem, [other.stem for other in beside], n=1)
    named = [other.name for other in beside if other.stem in alike and other.name != path.name and is_file(other)]
    return f'did you mean "{named[0]}"?' if named else ""


def without_nan(value: object) -> object:
    """The value with every NaN and infinity replaced by None, for JSON.

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
    """A valid folder name from one or more names.

    >>> slug("closed-book QA", "struct to text")
    'closed-book-qa+struct-to-text'

    Letters of all scripts stay; otherwise names without a Latin letter would share a folder.

    >>> slug("推論", "Übersetzung")
    '推論+übersetzung'

    One without any letter or digit is named by a digest.

    >>> slug("???")
    'a03b221c'

    A very long name is cut, and ends in a digest of the whole: file systems allow 255 bytes.

    >>> len(slug(*(f"task number {k}" for k in range(100))))
    120
    """
    whole = "+".join("-".join(re.findall(r"[^\W_]+", name.lower())) or _digest(name) for name in names)
    encoded = whole.encode("utf-8", "replace")
    if len(encoded) <= _LONGEST_SLUG:
        return whole
    start = encoded[: _LONGEST_SLUG - 9].decode(errors="ignore")
    return f"{start}-{_digest(whole)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
