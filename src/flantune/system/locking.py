"""One command at a time in a folder."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flantune.errors import FlantuneError
from flantune.system.files import is_there

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows, where two commands in one folder are not kept apart
    fcntl = None  # type: ignore[assignment]


class BusyFolderError(FlantuneError):
    """Another command is at work in the folder."""

    exit_code = 2


@contextmanager
def locked(folder: Path, *, name: str = ".lock") -> Iterator[None]:
    """Inside, no other flantune command works in the folder.

    The operating system holds the lock and lets go of it when the process ends, however it ends: a file that a killed
    process left behind locks nobody out. A folder that is made for it and stays empty is gone afterwards.

    Raises:
        BusyFolderError: Another command holds it; the message names its process and host.
        FlantuneError: The folder cannot be written, or its file system has no locks.
    """
    path = folder / name
    made = [one for one in (folder, *folder.parents) if not is_there(one)]
    handle = _claim(path)
    try:
        yield
    finally:
        # Whoever opened the file meanwhile finds that it is no longer the one of this name, and opens it anew.
        with suppress(OSError):
            path.unlink()
            for one in made:  # the first that holds something stays, and so do those above it
                one.rmdir()
        os.close(handle)


def _claim(path: Path) -> int:
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            hint = "choose another folder with --out"
            raise FlantuneError(f"cannot be written: {error.strerror}", where=str(path.parent), hint=hint) from error
        try:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(path, handle):
                os.ftruncate(handle, 0)
                os.write(handle, json.dumps(_who()).encode())
                return handle
        except BlockingIOError:
            holder = _holder(handle)
            os.close(handle)
            hint = "wait for it, stop it, or choose another --out"
            raise BusyFolderError(f"is in use by {holder}", where=str(path.parent), hint=hint) from None
        except OSError as error:
            os.close(handle)
            hint = "choose a folder on another file system with --out"
            raise FlantuneError(f"cannot be locked: {error.strerror}", where=str(path.parent), hint=hint) from error
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is_still(path: Path, handle: int) -> bool:
    """Whether the locked file is the one that lies there under its name: its last holder removes it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _who() -> dict[str, object]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}


def _holder(handle: int) -> str:
    try:
        found = json.loads(os.pread(handle, 4096, 0))
        return f"process {found['pid']} on {found['host']} since {found['since']}"
    except (ValueError, KeyError, OSError):
        return "another process"
