"""Files that are not what their names say: the web page of a failed download, a pointer to the data, a link."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from flantune.errors import SourceError
from flantune.system.files import is_folder, near_file

_START = 512
_DELIMITERS = {";": ";", "\t": "\\t", "|": "|", ",": ","}


def check_is_data(path: Path) -> None:
    """Refuses placeholders for data that was not downloaded: each line would be a bad row without a useful message.

    Raises:
        SourceError: The file is a pointer of Git LFS or a web page.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(_START).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        hint = "fetch the data itself: git lfs pull, in the folder it was cloned to"
        raise SourceError("is a pointer of Git LFS, and not the data", where=str(path), hint=hint)
    if start.startswith((b"<!doctype html", b"<html")):
        hint = "download the file itself: its page, or the page of an error, was saved in its place"
        raise SourceError("is a page of the web (HTML), and not the data", where=str(path), hint=hint)


def no_such_file(path: Path, pattern: str) -> tuple[str, str]:
    """What is there instead of a file that cannot be read, and what to do."""
    if pattern.partition("://")[0] in ("http", "https", "s3", "gs", "hf"):
        return "no such file", "files are read from this machine: download it, or name a dataset with hub"
    if path.is_symlink():
        return f"is a link to {path.readlink()}, where no file is", "fix the link"
    if path.exists():
        return "is a device or a pipe; expected a file", "copy what it gives into a file"
    if near := near_file(path):
        return "no such file", near
    gone = next((folder for folder in reversed(path.parents) if not is_folder(folder)), None)
    if gone is not None:
        return "no such file", f"the folder {gone} is not there"
    where = "the task file" if path.is_absolute() else str(Path.cwd())
    return "no such file", f"paths are relative to {where}"


def other_delimiter(columns: Iterable[object], wanted: str) -> str:
    """What the only column of a table reveals about its delimiter or encoding.

    >>> other_delimiter(["text;label"], "label")
    'the header is in one piece: set [source] delimiter = ";"'
    """
    names = list(map(str, columns))
    if any("\0" in name for name in names):
        return 'the names contain U+0000, as in text with two bytes per character: set [source] encoding = "utf-16"'
    if len(names) != 1:
        return ""
    for delimiter, written in _DELIMITERS.items():
        if wanted in [part.strip().strip('"') for part in names[0].split(delimiter)]:
            return f'the header is in one piece: set [source] delimiter = "{written}"'
    return ""
