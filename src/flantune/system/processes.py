"""Several processes that work together: their ranks, sums over all, and their common end if one is lost."""

from __future__ import annotations

import json
import os
import pickle
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from flantune.errors import FlantuneError, TrainingError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor
    from torch._C._distributed_c10d import Store

Value = TypeVar("Value")

COLLECTIVE_TIMEOUT_S = 1800
"""How long one process waits in a sum for another that is alive. Work of only the first process is waited for without
limit.
"""
HEARTBEAT_S = 1.0
HEARING_S = 60.0
"""How long a failing process waits for the others to learn why, before it ends together with the shared store."""
SILENCE_S = 120.0
"""A process without a sign of life for this long is assumed dead: its machine may have lost power."""
_GONE = re.compile(
    r"closed by peer|reset by peer|broken pipe|timed? ?out|refused|connection (was )?(lost|closed)", re.I
)
_REPEAT = "look at the messages of the other processes, then repeat the command: it resumes from the last checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """This process among those that work on one run; by default it is alone, and nothing here has an effect.

    Attributes:
        rank: Its number, from 0.
        count: Number of processes.
        store: A store for small messages between them; None if alone.
    """

    rank: int = 0
    count: int = 1
    store: Store | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and reports."""
        return self.rank == 0

    def first(self, work: Callable[[], object]) -> None:
        """The first process does some work of any length; the others wait for it.

        Raises:
            TrainingError: In the others, if the work failed. The first raises the original error.
        """
        if self.store is None:
            work()
            return
        key = f"first/{self.store.add(f'turn/{self.rank}', 1)}"
        if self.is_first:
            try:
                work()
            except BaseException as error:
                with _silenced():
                    self.store.set(key, json.dumps(_first_line(error)))
                    self._await_hearing(key)
                raise
            with _explained():
                self.store.set(key, json.dumps(None))
            return
        with _explained():
            pause = 0.01
            while not self.store.check([key]):
                time.sleep(pause)
                pause = min(0.2, 2 * pause)
            failure = json.loads(self.store.get(key))
            self.store.add(f"{key}/heard", 1)
        if failure is not None:
            raise TrainingError(f"the first process stopped: {failure}", where=self.name, hint=_REPEAT)

    def in_turn(self, work: Callable[[], Value]) -> Value:
        """Does some work in the first process, then in the others, which can use what it wrote; returns the result."""
        made: list[Value] = []
        self.first(lambda: made.append(work()))
        return made[0] if made else work()

    def _await_hearing(self, key: str) -> None:
        """Waits a little until the others have been informed, since the shared store may end with this process."""
        deadline = time.monotonic() + HEARING_S
        while self.store is not None and self.store.add(f"{key}/heard", 0) < self.count - 1:
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)

    def check_agreement(self, value: str, *, what: str) -> None:
        """Makes sure that all processes have the same value.

        Raises:
            TrainingError: This one has a different value from the first.
        """
        if self.store is None:
            return
        key = f"agree/{self.store.add(f'agreements/{self.rank}', 1)}"
        if self.is_first:
            self.store.set(key, value)
            return
        with _explained():
            self.store.wait([key], timedelta(seconds=COLLECTIVE_TIMEOUT_S))
            theirs = self.store.get(key).decode()
        if theirs != value:
            hint = "all machines need the same run file, data, model and versions, and a file system that they share"
            raise TrainingError(
                f"{what} differs from the first process's: {value}, {theirs} there", where=self.name, hint=hint
            )

    def gather(self, value: Value) -> list[Value]:
        """The values of all processes, by rank; the same list in all. All must call it."""
        if self.store is None:
            return [value]
        import torch

        # Each adds its bytes at its own place in a sum, and a sum ends immediately if a process is gone.
        mine = np.frombuffer(pickle.dumps(value), dtype=np.uint8)
        lengths = self.total(np.where(np.arange(self.count) == self.rank, len(mine), 0.0)).astype(np.int64)
        ends = np.cumsum(lengths)
        line = np.zeros(ends[-1], dtype=np.uint8)
        line[ends[self.rank] - len(mine) : ends[self.rank]] = mine
        _add_up(torch.from_numpy(line))
        return [pickle.loads(line[end - length : end].tobytes()) for end, length in zip(ends, lengths, strict=True)]

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum over all processes, the same bits everywhere."""
        if self.store is None:
            return values
        import torch

        summed = np.array(values, dtype=np.float64)
        _add_up(torch.from_numpy(summed))
        return summed

    def any(self, claim: bool, /) -> bool:
        """Whether it is true in any process; the same answer in all."""
        return bool(self.total(np.array([float(claim)]))[0])

    @property
    def name(self) -> str:
        """For messages.

        >>> Processes(rank=1, count=4).name
        'process 2 of 4'
        """
        return f"process {self.rank + 1} of {self.count}"


ALONE = Processes()


def current() -> Processes:
    """This process among those that joined; alone if none joined."""
    dist: Any = sys.modules.get("torch.distributed")  # if it is not imported, no process has joined
    if dist is None or not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return ALONE
    store = _messages(_default_store())
    return Processes(rank=dist.get_rank(), count=dist.get_world_size(), store=store)


@contextmanager
def joined(*, timeout_s: float = COLLECTIVE_TIMEOUT_S) -> Iterator[Processes]:
    """Within the block, this process works with the others that ``torchrun`` (or any program like it) started.

    Reads ``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``, ``MASTER_ADDR`` and ``MASTER_PORT``. Without these, or inside
    another such block, nothing is set up. If a process dies, or gives no sign of life, the others end.

    Raises:
        TrainingError: The others cannot be reached, or a machine has fewer GPUs than processes.
    """
    if current() is not ALONE or int(os.environ.get("WORLD_SIZE", 1)) == 1 or "RANK" not in os.environ:
        yield current()
        return
    import torch
    import torch.distributed as dist

    _take_device()
    with _explained():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout_s))
    processes = current()
    with _watched(processes):
        yield processes
        # The first process hosts the store, so it must not leave while others still read from it.
        processes.total(np.zeros(1))
    # Only after success: if a process is gone, an orderly shutdown would wait for it.
    dist.destroy_process_group()


@contextmanager
def gone_explained(processes: Processes) -> Iterator[None]:
    """Turns a library's error about a lost process into a message with a next step.

    Raises:
        TrainingError: Another process is gone.
    """
    if processes.count == 1:
        yield
        return
    with _explained():
        yield


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:
        from torch.distributed import DistError

        if not (isinstance(error, DistError) or _GONE.search(str(error))):
            raise
        why = _first_line(error)
        raise TrainingError(
            f"another process of this run is gone: {why}", where="torch.distributed", hint=_REPEAT
        ) from error


def _take_device() -> None:
    """One GPU per process."""
    import torch

    if not torch.cuda.is_available():
        return
    number, there = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if number >= there:
        hint = f"start at most {there} processes per machine: torchrun --nproc-per-node {there}"
        raise TrainingError(f"this machine has {there} GPUs, but more processes", where="torchrun", hint=hint)
    torch.cuda.set_device(number)


def _add_up(line: Tensor) -> None:
    """Replaces each process's values by the sum over all."""
    import torch.distributed as dist

    with _explained():
        dist.all_reduce(line)


def _default_store() -> Any:
    import torch.distributed as dist

    return dist.distributed_c10d._get_default_store()


def _messages(store: Any) -> Store:
    """A part of the store with its own prefix of keys."""
    import torch.distributed as dist

    ours: Store = dist.distributed_c10d.PrefixStore("flantune", store)
    return ours


@contextmanager
def _watched(processes: Processes) -> Iterator[None]:
    """Within the block, this process gives signs of life, and ends if another one's cease."""
    stopped = threading.Event()
    # A separate connection, since the other may be blocked in a long wait.
    store = _messages(_default_store().clone())
    watch = threading.Thread(target=_watch, args=(processes, store, stopped), daemon=True, name="flantune-watch")
    watch.start()
    last = "gone"
    try:
        yield
        last = "done"
    finally:
        stopped.set()
        with _silenced():
            store.set(f"alive/{processes.rank}", last)


def _watch(processes: Processes, store: Store, stopped: threading.Event) -> None:
    others = [rank for rank in range(processes.count) if rank != processes.rank]
    seen = {rank: ("", time.monotonic()) for rank in others}
    beat = 0
    while not stopped.wait(HEARTBEAT_S):
        beat += 1
        try:
            store.set(f"alive/{processes.rank}", str(beat))
            for rank in others:
                key = f"alive/{rank}"
                sign = store.get(key).decode() if store.check([key]) else ""
                if sign != seen[rank][0]:
                    seen[rank] = (sign, time.monotonic())
                if sign == "gone" or (sign != "done" and time.monotonic() - seen[rank][1] > SILENCE_S):
                    _end(processes, rank, stopped)
        except (RuntimeError, ValueError):
            _end(processes, 0, stopped)


def _end(processes: Processes, gone: int, stopped: threading.Event) -> None:
    """Ends this process immediately: its main thread may wait forever for the lost one."""
    # The main thread may have noticed too, and have more to report.
    if stopped.wait(2 * HEARTBEAT_S):
        return
    name = Processes(rank=gone, count=processes.count).name
    sys.stderr.write(f"error: {processes.name}: {name} is gone\nhint: {_REPEAT}\n")
    sys.stderr.flush()
    os._exit(1)


@contextmanager
def _silenced() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError):
        return


def _first_line(error: BaseException) -> str:
    text = error.message if isinstance(error, FlantuneError) else str(error)
    return (text.strip() or type(error).__name__).splitlines()[0]
