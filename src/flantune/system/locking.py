"""One command at a time in a folder."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from flantune.errors import FlantuneError
from flantune.system.files import is_there

_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP})
_PATIENCE_S = 0.2
"""For a holder that is just leaving."""


class BusyFolderError(FlantuneError):
    """Another command is at work in the folder."""

    exit_code = 2


@contextmanager
def locked(folder: Path, *, name: str = ".lock") -> Iterator[None]:
    """Within the block, no other flantune command works in the folder.

    The operating system holds the lock and lets go of it when the process ends, however it ends: a file that a killed
    process left behind locks nobody out. A folder that is made for it and stays empty is gone afterwards.

    Raises:
        BusyFolderError: Another command holds it; the message names its process and host.
        FlantuneError: The folder cannot be written, or its file system has no locks (some clusters mount NFS so).
    """
    path = folder / name
    made = [one for one in (folder, *folder.parents) if not is_there(one)]
    lock = _claim(path)
    try:
        yield
    finally:
        # Whoever opened the file meanwhile finds, once it is theirs, that it has no name, and opens it anew. Windows
        # removes no file that is open; there letting go of the lock does it.
        with suppress(OSError):
            path.unlink()
        lock.release()
        with suppress(OSError):
            for one in made:  # the first that holds something stays, and so do those above it
                one.rmdir()


def _claim(path: Path) -> FileLock:
    where = str(path.parent)
    # A stand-in for locks that the file system lacks would outlive a killed process.
    lock = FileLock(path, timeout=_PATIENCE_S, poll_interval=0.02, fallback_to_soft=False, on_acquired=_sign)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        hint = "wait for it, stop it, or choose another --out"
        raise BusyFolderError(f"is in use by {_holder(path)}", where=where, hint=hint) from None
    except OSError as error:
        if error.errno in _NO_LOCKS:
            hint = "choose a folder on another file system with --out"
            raise FlantuneError(f"cannot be locked: {error.strerror}", where=where, hint=hint) from error
        hint = "choose another folder with --out"
        raise FlantuneError(f"cannot be written: {error.strerror}", where=where, hint=hint) from error
    return lock


def _sign(handle: int) -> None:
    """Writes who holds the lock after the first byte, which Windows lets nobody else read."""
    who = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    os.ftruncate(handle, 0)
    os.write(handle, b" " + json.dumps(who).encode())


def _holder(path: Path) -> str:
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(1)
            found = json.loads(file.read(4096))
        return f"process {found['pid']} on {found['host']} since {found['since']}"
    except (ValueError, KeyError, OSError):
        return "another process"
