"""Keeps Python code of task files from using the network, writing outside its folder, and starting programs.

The process that runs such code (``code_process``) restricts itself. Where Linux allows it, the kernel enforces this: a
network namespace without a network, and Landlock rules against writing. On all systems, a hook on Python's audit events
refuses such actions. This stops mistakes and careless code; it does not contain malicious code.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

_NEW_USER, _NEW_NET = 0x10000000, 0x40000000
_NO_NEW_PRIVILEGES, _PARENT_DEATH_SIGNAL = 38, 1
# Landlock's system calls have the same numbers on all processor architectures of Linux.
_CREATE_RULES, _ADD_RULE, _RESTRICT_SELF, _ASK_VERSION, _BENEATH = 444, 445, 446, 1, 1
_WRITING = 1 << 1 | sum(1 << bit for bit in range(4, 13))
_WRITE_INTO_FILE = 1 << 1
_EXECUTING, _MOVING, _TRUNCATING = 1 << 0, 1 << 13, 1 << 14
_BINDING_AND_CONNECTING = _ABSTRACT_SOCKETS_AND_SIGNALS = 1 << 0 | 1 << 1
_PROGRAMS = frozenset({"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile"})
_MOVES, _LINKS = frozenset({"os.rename", "shutil.move"}), frozenset({"os.link", "os.symlink"})
_CHANGES = frozenset({"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink",
                      "os.chmod", "os.chown", "os.chflags", "os.utime", "os.setxattr", "os.removexattr",
                      "shutil.rmtree", "shutil.move"})  # fmt: skip
_ADDRESSED = frozenset({"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"})
_MOST_FORKS = 256
"""Processes that one request may fork: enough for ``datasets`` with ``num_proc``, too few for a fork bomb."""
_SPARE_S = 60


def build_walls(folder: Path, limits: Mapping[str, Any]) -> tuple[str, ...]:
    """Restricts this process permanently.

    Args:
        folder: The only folder that it may write to.
        limits: ``memory_bytes`` and ``file_bytes``; absent: no limit.

    Returns:
        What the operating system enforces: some of "memory", "network", "files", "programs", "signals".
    """
    held = [name for name, build in (("memory", _limit), ("network", _without_network)) if build(limits)]
    version = _write_only_into(folder)
    held += ["files", "programs"] * (version > 0) + ["signals"] * (version > 5)
    if sys.platform.startswith("linux"):
        os.register_at_fork(after_in_child=_die_with_parent)
    sys.addaudithook(_Guard(folder.resolve()))
    return tuple(held)


@contextmanager
def limited(cpu_s: int, wall_s: int) -> Iterator[None]:
    """Within the block, limits the process's processor time and wall time, where the platform can.

    The parent stops the process earlier; the limit on wall time is for the case that the parent has ended.
    """
    _Guard.forks = 0
    if sys.platform == "win32":
        yield
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + cpu_s + 1, most))
    signal.alarm(wall_s + _SPARE_S)
    yield
    signal.alarm(0)


def _limit(limits: Mapping[str, Any]) -> bool:
    if sys.platform == "win32":
        return False
    import resource

    # If the machine runs out of memory, the kernel kills this process rather than its parent.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
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


def _die_with_parent() -> None:
    """In a forked process: it is killed when its parent ends, even in another session."""
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _without_network(_: Mapping[str, Any]) -> bool:
    """Moves this process into a namespace without a network; needs no rights if user namespaces are allowed."""
    if not sys.platform.startswith("linux"):
        return False
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_USER | _NEW_NET) != 0:
        return False
    # The process keeps its user and group, so that it can still read the user's files.
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        try:
            Path(f"/proc/self/{name}").write_text(text, encoding="ascii")
        except OSError:
            continue
    return True


class _Rules(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def _write_only_into(folder: Path) -> int:
    """Forbids writing, creating, moving and removing files outside a folder, by Landlock (Linux 5.13 and later).

    Starting programs is forbidden, too. From version 4 on Landlock also refuses TCP, from 6 on signals to processes
    outside.

    Returns:
        Landlock's version; 0 if it is not available.
    """
    if not sys.platform.startswith("linux"):
        return 0
    call = ctypes.CDLL(None, use_errno=True).syscall
    version = int(call(_CREATE_RULES, None, ctypes.c_size_t(0), _ASK_VERSION))
    if version < 1:
        return 0
    allowed_here = _WRITING | (_MOVING if version > 1 else 0) | (_TRUNCATING if version > 2 else 0)
    rules = _Rules(
        allowed_here | _EXECUTING,
        _BINDING_AND_CONNECTING if version > 3 else 0,
        _ABSTRACT_SOCKETS_AND_SIGNALS if version > 5 else 0,
    )
    number = call(_CREATE_RULES, ctypes.byref(rules), ctypes.c_size_t(ctypes.sizeof(rules)), 0)
    if number < 0:
        return 0
    places = {folder: allowed_here, Path("/dev/shm"): allowed_here, Path("/dev/null"): _WRITE_INTO_FILE}
    for place, allowed in places.items():
        if place.exists():
            opened = os.open(place, os.O_PATH | os.O_CLOEXEC)
            rule = _Beneath(allowed, opened)
            call(_ADD_RULE, number, _BENEATH, ctypes.byref(rule), 0)
            os.close(opened)
    ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    is_held = call(_RESTRICT_SELF, number, 0) == 0
    os.close(number)
    return version if is_held else 0


class _Guard:
    """An audit hook: raises an exception to prevent an action that is not allowed."""

    forks: ClassVar[int] = 0

    def __init__(self, folder: Path) -> None:
        self.allowed = (str(folder), "/dev/null", "/dev/shm")
        self.owner, self.parent = os.getpid(), os.getppid()

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            if self._writes(*arguments[1:3]):
                self._check_place(arguments[0])
        elif event in _CHANGES:
            # Moving changes both paths. A link may point anywhere, but the link itself must be in an allowed place.
            for place in arguments[1:2] if event in _LINKS else arguments[: 2 if event in _MOVES else 1]:
                self._check_place(place)
        elif event in _PROGRAMS:
            raise PermissionError("code of a task file may not start programs")
        elif event in {"os.fork", "os.forkpty"}:
            self._check_fork()
        elif event in {"os.kill", "os.killpg"}:
            self._check_signal(event, arguments[0])
        elif event.startswith("socket."):
            self._check_socket(event, arguments)

    def _check_fork(self) -> None:
        _Guard.forks += 1
        if os.getpid() != self.owner:
            raise PermissionError("a process that code of a task file has forked may not fork")
        if _Guard.forks > _MOST_FORKS:
            raise PermissionError(f"code of a task file may not fork more than {_MOST_FORKS} processes at a time")

    def _check_signal(self, event: str, process: int) -> None:
        """Refuses signals to processes outside this one's group, which only it and what it forks belong to."""
        is_group = event == "os.killpg" or process < 0
        is_own = abs(process) in {0, os.getpgrp()} if is_group else self._is_own(process)
        if not is_own:
            raise PermissionError(f"code of a task file may not send signals to process {process}")

    def _is_own(self, process: int) -> bool:
        """Whether a process is in this one's group, which what it forks inherits; true if there is no such process."""
        if not hasattr(os, "getpgid"):
            return process not in {1, self.parent}
        try:
            return os.getpgid(process) == os.getpgrp()
        except ProcessLookupError:
            return True
        except OSError:
            return False

    def _writes(self, mode: object, flags: object) -> bool:
        is_written = isinstance(mode, str) and any(letter in mode for letter in "wax+")
        return is_written or bool(isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))

    def _check_place(self, place: object) -> None:
        path = _path_of(place)
        if path is not None and not self._is_allowed(path):
            raise PermissionError(f"code of a task file may not change {path}: it may write into its own folder only")

    def _is_allowed(self, path: str) -> bool:
        return any(path == allowed or path.startswith(allowed + os.sep) for allowed in self.allowed)

    def _check_socket(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Refuses network connections and other programs' sockets; its own processes may communicate."""
        _refuse_network(event, arguments)
        address = arguments[1] if event in _ADDRESSED and len(arguments) > 1 else None
        if isinstance(address, str | bytes) and address and os.fsencode(address)[:1] != b"\0":
            path = os.path.realpath(os.fsdecode(address))
            if not self._is_allowed(path):
                raise PermissionError(f"code of a task file may not talk to other programs ({path})")


def _path_of(place: object) -> str | None:
    """The path of a file; None for an open file whose path is unknown or was removed."""
    if isinstance(place, int):
        path = Path(f"/proc/self/fd/{place}")
        return os.path.realpath(path) if path.exists() else None
    return os.path.realpath(os.fsdecode(place)) if isinstance(place, str | bytes | os.PathLike) else None


def _refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    made = arguments[1] if event == "socket.__new__" and len(arguments) > 1 else None
    family = made if made is not None else getattr(arguments[0] if arguments else None, "family", None)
    local = {getattr(socket, "AF_UNIX", None)} - {None}
    is_name = event in {"socket.gethostname", "socket.getservbyname", "socket.getservbyport"}
    if family not in local and not is_name:
        raise PermissionError(f"code of a task file may not use the network ({event})")
