"""Several processes on this machine that work together as `torchrun` would start them, without its start-up time."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import HUNG_AFTER_S
from tests.processes import PROCESSES, Started, start_command


@dataclass
class Member:
    """One process, and what came of it."""

    process: Any
    ear: Any

    def outcome(self, timeout_s: float = HUNG_AFTER_S) -> Any:
        """What the work returned, an `("error", text)` of what it raised, or its exit code when it just ended."""
        found = None
        try:
            if self.ear.poll(timeout_s):
                found = self.ear.recv()
        except EOFError:
            pass
        self.process.join(timeout_s)
        if self.process.is_alive():
            self.process.kill()
            raise AssertionError("a process hangs")
        return self.process.exitcode if found is None else found


def start(count: int, work: Callable[..., Any], *args: Any) -> list[Member]:
    """Starts so many processes, each of which does the work as one of the team."""
    port = _free_port()
    members = []
    for rank in range(count):
        ear, mouth = PROCESSES.Pipe(duplex=False)
        process = PROCESSES.Process(target=_run, args=(rank, count, port, mouth, work, args), daemon=True)
        process.start()
        mouth.close()
        members.append(Member(process, ear))
    return members


def start_commands(count: int, folder: Path, *arguments: str) -> list[Started]:
    """Starts ``flantune`` in so many processes that work together; each writes into a folder of its number."""
    port = _free_port()
    return [
        start_command(folder / str(rank), *arguments, environment=_place(rank, count, port)) for rank in range(count)
    ]


def together(count: int, work: Callable[..., Any], *args: Any) -> list[Any]:
    """What each process's work returned."""
    found = outcomes(count, work, *args)
    for one in found:
        if isinstance(one, tuple) and one[:1] == ("error",):
            raise AssertionError(one[2])
    return found


def outcomes(count: int, work: Callable[..., Any], *args: Any) -> list[Any]:
    """What each process's work returned, or how it failed."""
    return [member.outcome() for member in start(count, work, *args)]


def _run(rank: int, count: int, port: int, mouth: Any, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    os.environ |= _place(rank, count, port)
    try:
        mouth.send(work(*args))
    except BaseException as error:
        mouth.send(("error", f"{type(error).__name__}: {error}", traceback.format_exc()))
        raise SystemExit(1) from error


def _place(rank: int, count: int, port: int) -> dict[str, str]:
    """What `torchrun` tells each process of its place."""
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {name: str(value) for name, value in (names | {"OMP_NUM_THREADS": 1}).items()}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
