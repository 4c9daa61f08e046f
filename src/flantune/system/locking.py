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
"""Time to wait for a holder that is about to finish."""


class BusyFolderError(FlantuneError):
    """Another command is working in the folder."""

    exit_code = 2


@contextmanager
def locked(folder: Path, *, name: str = ".lock", protects: Path | None = None) -> Iterator[None]:
    """Within the block, no other flantune command works in the folder.

    The operating system holds the lock and releases it when the process ends in any way: a file left by a killed
    process blocks nobody. A folder that is created for it and stays empty is removed afterwards.

    Args:
        folder: The folder.
        name: The lock's file in it.
        protects: The only file in it that is meant; None: the whole folder.

    Raises:
        BusyFolderError: Another command holds it; the message names its process and host.
        FlantuneError: The folder cannot be written, or its file system has no locks (some clusters mount NFS so).
    """
    path = folder / name
    made = [one for one in (folder, *folder.parents) if not is_there(one)]
    lock = _claim(path, where=str(protects or folder))
    try:
        yield
    finally:
        # A process that opened the file meanwhile notices that it has been removed, and opens it again. Windows does
        # not remove open files; there, closing the lock does it.
        with suppress(OSError):
            path.unlink()
        lock.release()
        with suppress(OSError):
            for one in made:  # the first non-empty one stays, and so do those above it
                one.rmdir()


def _claim(path: Path, *, where: str) -> FileLock:
    # A replacement for locks that the file system lacks would outlive a killed process.
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
    """Writes the holder of the lock after the first byte, which others cannot read on Windows."""
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
