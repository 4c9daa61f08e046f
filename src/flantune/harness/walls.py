"""What Python code of a task file may not do while it runs: reach the network, write elsewhere, start programs.

Only the process that runs such code builds these walls around itself (``code_process``). Where Linux lets it, the
kernel holds them: a network namespace without a network, and Landlock rules against writing. Everywhere a hook of
Python's own audit events refuses what would reach beyond them. This keeps honest code honest; it is no prison for
hostile code.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_NEW_USER, _NEW_NET = 0x10000000, 0x40000000
_NO_NEW_PRIVILEGES = 38
# Landlock's system calls have the same numbers on every processor that Linux runs on today.
_CREATE_RULES, _ADD_RULE, _RESTRICT_SELF, _ASK_VERSION, _BENEATH = 444, 445, 446, 1, 1
_WRITING = 1 << 1 | sum(1 << bit for bit in range(4, 13))
_WRITE_INTO_FILE = 1 << 1
_MOVING, _TRUNCATING = 1 << 13, 1 << 14
_PROGRAMS = frozenset({"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile"})
_MOVES, _LINKS = frozenset({"os.rename", "shutil.move"}), frozenset({"os.link", "os.symlink"})
_CHANGES = frozenset({"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink",
                      "os.chmod", "os.chown", "shutil.rmtree", "shutil.move"})  # fmt: skip


def build_walls(folder: Path, limits: Mapping[str, Any]) -> tuple[str, ...]:
    """Shuts this process in, for good.

    Args:
        folder: The one place it may write into.
        limits: ``memory_bytes`` and ``file_bytes`` at most; absent: no limit.

    Returns:
        Which walls the operating system holds: some of "memory", "network" and "files".
    """
    held = [name for name, build in (("memory", _limit), ("network", _without_network)) if build(limits)]
    if _write_only_into(folder):
        held.append("files")
    sys.addaudithook(_Guard(folder.resolve()))
    return tuple(held)


def renew_seconds(seconds: int) -> None:
    """Lets the process use so much processor time from now on, where the platform counts it."""
    if sys.platform == "win32":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds + 1, most))


def _limit(limits: Mapping[str, Any]) -> bool:
    if sys.platform == "win32":
        return False
    import resource

    for kind, most in (
        (resource.RLIMIT_AS, limits.get("memory_bytes")),
        (resource.RLIMIT_FSIZE, limits.get("file_bytes")),
        (resource.RLIMIT_CORE, 0),
    ):
        if most is not None:
            _, hard = resource.getrlimit(kind)
            at_most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (at_most, at_most))
    return True


def _without_network(_: Mapping[str, Any]) -> bool:
    """A network namespace of its own, which has no network; needs no rights where user namespaces are allowed."""
    if not sys.platform.startswith("linux"):
        return False
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_USER | _NEW_NET) != 0:
        return False
    # The process stays who it was, so that it may still read what its user may.
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        try:
            Path(f"/proc/self/{name}").write_text(text, encoding="ascii")
        except OSError:
            continue
    return True


class _Rules(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64),)


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def _write_only_into(folder: Path) -> bool:
    """Landlock, of Linux 5.13 and later: no file beyond a folder is written, made, moved or removed."""
    if not sys.platform.startswith("linux"):
        return False
    call = ctypes.CDLL(None, use_errno=True).syscall
    version = call(_CREATE_RULES, None, ctypes.c_size_t(0), _ASK_VERSION)
    if version < 1:
        return False
    handled = _WRITING | (_MOVING if version > 1 else 0) | (_TRUNCATING if version > 2 else 0)
    rules = _Rules(handled)
    number = call(_CREATE_RULES, ctypes.byref(rules), ctypes.c_size_t(ctypes.sizeof(rules)), 0)
    if number < 0:
        return False
    for place, allowed in ((folder, handled), (Path("/dev/shm"), handled), (Path("/dev/null"), _WRITE_INTO_FILE)):
        if place.exists():
            opened = os.open(place, os.O_PATH | os.O_CLOEXEC)
            rule = _Beneath(allowed, opened)
            call(_ADD_RULE, number, _BENEATH, ctypes.byref(rule), 0)
            os.close(opened)
    ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    is_held: bool = call(_RESTRICT_SELF, number, 0) == 0
    os.close(number)
    return is_held


class _Guard:
    """Looks at every audit event; raising refuses what was about to happen."""

    def __init__(self, folder: Path) -> None:
        self.allowed = (str(folder), "/dev/null", "/dev/shm", "/proc/self")

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            if self._writes(*arguments[1:3]):
                self._check_place(arguments[0])
        elif event in _CHANGES:
            # Of a pair both may change, and what a link points to may lie anywhere, the link itself may not.
            for place in arguments[1:2] if event in _LINKS else arguments[: 2 if event in _MOVES else 1]:
                self._check_place(place)
        elif event in _PROGRAMS:
            raise PermissionError("code of a task file may not start programs")
        elif event.startswith("socket."):
            _check_socket(event, arguments)

    def _writes(self, mode: object, flags: object) -> bool:
        is_written = isinstance(mode, str) and any(letter in mode for letter in "wax+")
        return is_written or bool(isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))

    def _check_place(self, place: object) -> None:
        if not isinstance(place, str | bytes | os.PathLike):
            return  # a descriptor that is open already
        path = os.path.realpath(os.fsdecode(place))
        if not any(path == allowed or path.startswith(allowed + os.sep) for allowed in self.allowed):
            raise PermissionError(f"code of a task file may not change {path}: it may write into its own folder only")


def _check_socket(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuses whatever leaves the machine; sockets between processes of one machine are let through."""
    made = arguments[1] if event == "socket.__new__" and len(arguments) > 1 else None
    family = made if made is not None else getattr(arguments[0] if arguments else None, "family", None)
    local = {getattr(socket, "AF_UNIX", None)} - {None}
    is_name = event in {"socket.gethostname", "socket.getservbyname", "socket.getservbyport"}
    if family not in local and not is_name:
        raise PermissionError(f"code of a task file may not use the network ({event})")
