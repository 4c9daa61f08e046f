"""Numbered pieces of work done by many processes, each once and in any order: by a pool on this machine, or by Ray.

The work is a module-level function, so that other processes can import it, and pure: the result is the same for any
process and any number of repetitions.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

from flantune.errors import FlantuneError, WorkerKilledError

Job = TypeVar("Job")
Receipt = TypeVar("Receipt")

_ROUNDS = 3
"""After this many consecutive pools that broke without a result, the work itself is assumed to kill its process."""
_IN_FLIGHT = 2
"""Pieces assigned per worker: the current one and the next."""


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Engine(Protocol):
    """Does pieces of work."""

    def make(self, work: Callable[[Job, int], Receipt], job: Job, numbers: Sequence[int]) -> Iterator[Receipt]:
        """The results of ``work(job, number)`` for each number, in the order in which they finish.

        Raises:
            FlantuneError: The error of the work, or its processes end repeatedly.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalEngine:
    """Processes on this machine; a single worker is this process.

    Attributes:
        workers: Number of workers, which share the cores.
        note: Called if a worker is killed.
    """

    workers: int
    note: Callable[[str], None] = lambda _: None

    def make(self, work: Callable[[Job, int], Receipt], job: Job, numbers: Sequence[int]) -> Iterator[Receipt]:
        """See ``Engine``. If a process is killed, a new pool does what is missing."""
        if self.workers == 1:
            yield from (work(job, number) for number in numbers)
            return
        missing, idle = dict.fromkeys(numbers), 0
        while missing:
            before = len(missing)
            try:
                for number, receipt in self._round(work, job, list(missing)):
                    del missing[number]
                    yield receipt
            except BrokenProcessPool:
                idle = idle + 1 if len(missing) == before else 0
                if idle == _ROUNDS:
                    raise _killed(idle) from None
                self.note(f"a worker was killed; new ones make the {len(missing):,} missing pieces")

    def _round(
        self, work: Callable[[Job, int], Receipt], job: Job, numbers: Sequence[int]
    ) -> Iterator[tuple[int, Receipt]]:
        """One pool, until everything is done or one of its processes is killed."""
        todo, running = iter(numbers), dict[Future[Receipt], int]()
        count = min(self.workers, len(numbers))
        context = multiprocessing.get_context("spawn")
        threads = max(1, cores() // self.workers)
        pool = ProcessPoolExecutor(count, mp_context=context, initializer=_become_worker, initargs=(threads,))
        try:
            while True:
                for number in islice(todo, _IN_FLIGHT * count - len(running)):
                    running[pool.submit(work, job, number)] = number
                if not running:
                    return
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(done), done.result()
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RayEngine:
    """Ray tasks: on the cluster that ``RAY_ADDRESS`` names, otherwise on this machine.

    Ray itself repeats a task whose process is killed. All machines need flantune, and see the same files
    under the same paths.

    Attributes:
        workers: Tasks at a time on this machine; on a cluster, as many as it has processors.
        at_once: Tasks at a time on any machine; 0: the number of processors.
        takes_gpu: Whether each task gets its own GPU, if the cluster has any.
    """

    workers: int
    at_once: int = 0
    takes_gpu: bool = False

    def make(self, work: Callable[[Job, int], Receipt], job: Job, numbers: Sequence[int]) -> Iterator[Receipt]:
        """See ``Engine``."""
        if not numbers:
            return
        ray = _ray()
        is_ours = not ray.is_initialized()
        if is_ours:
            _start(ray, self.workers)
        try:
            yield from _by_ray(ray, work, job, numbers, engine=self)
        finally:
            if is_ours:
                ray.shutdown()


def _by_ray(
    ray: Any, work: Callable[[Job, int], Receipt], job: Job, numbers: Iterable[int], *, engine: RayEngine
) -> Iterator[Receipt]:
    there = ray.cluster_resources()
    gpus = 1 if engine.takes_gpu and there.get("GPU", 0) >= 1 else 0
    remote = ray.remote(work).options(max_retries=_ROUNDS, num_cpus=1, num_gpus=gpus)
    shared = ray.put(job)
    most = engine.at_once or _IN_FLIGHT * max(1, int(there.get("CPU", 1)))
    todo, running = iter(numbers), list[Any]()
    while True:
        running += [remote.remote(shared, number) for number in islice(todo, most - len(running))]
        if not running:
            return
        done, running = ray.wait(running, num_returns=1)
        for one in done:
            try:
                yield ray.get(one)
            except ray.exceptions.RayTaskError as error:
                raise getattr(error, "cause", None) or error from None
            except ray.exceptions.WorkerCrashedError:
                raise _killed(_ROUNDS + 1) from None


def _start(ray: Any, workers: int) -> None:
    import logging

    variables = {"env_vars": _threads(1)}
    quiet: dict[str, Any] = {"include_dashboard": False, "logging_level": logging.ERROR, "log_to_driver": False}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(runtime_env=variables, logging_level=logging.ERROR, log_to_driver=False)
        return
    # Only short results go through its object store, so the minimum size is enough.
    ray.init(num_cpus=workers, object_store_memory=100 * 2**20, runtime_env=variables, **quiet)


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        hint = "pip install -e '.[ray]', or --engine local"
        raise FlantuneError("Ray is not installed", where="--engine ray", hint=hint) from None
    return ray


def _killed(times: int) -> WorkerKilledError:
    hint = "often memory is full: use fewer --workers or --jobs, and repeat the command; finished work is kept"
    return WorkerKilledError(f"the process that does the work was killed {times} times in a row", hint=hint)


def _threads(count: int) -> dict[str, str]:
    """The environment of a worker with so many threads; they are counted when libraries are imported."""
    return {"OMP_NUM_THREADS": str(count), "RAYON_NUM_THREADS": str(count), "TOKENIZERS_PARALLELISM": "false"}


def _become_worker(threads: int) -> None:
    """Uses its share of the cores, ignores Ctrl-C (the parent ends it), and ends with its parent."""
    os.environ.update(_threads(threads))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True, name="flantune-parent").start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
