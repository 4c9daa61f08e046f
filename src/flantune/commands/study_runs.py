"""Runs of a study, several at a time: each resumes where it stopped, and a failed run does not stop the others."""

from __future__ import annotations

import gc
import multiprocessing
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flantune.commands.run import run
from flantune.commands.shared_folds import share_tuning
from flantune.commands.study_progress import LatestLine, showing
from flantune.errors import FlantuneError, WorkerKilledError
from flantune.models.memory import is_out_of_memory
from flantune.report.numbers import plural
from flantune.studies.planned_runs import PlannedRun, is_done, waves
from flantune.system.files import write_text
from flantune.system.progress import Reporter

if TYPE_CHECKING:
    from types import FrameType

    from flantune.runs.folder import RunFolder
    from flantune.system.engines import Engine


_NEEDS = "needs a run of another arm that failed"


@dataclass(frozen=True, slots=True)
class RunReceipt:
    """What happened to a run.

    Attributes:
        number: Its place in the study.
        error: What stopped it; empty if it is finished.
        where: Where it stopped, which differs from run to run.
        seconds: Time it took in this call.
    """

    number: int
    error: str = ""
    where: str = ""
    seconds: float = 0.0

    @property
    def reason(self) -> str:
        """What stopped it, without the place, since the same may have stopped others."""
        return self.error.removeprefix(f"{self.where}: ") if self.where else self.error


@dataclass(frozen=True, slots=True)
class _Work:
    """What a worker needs: the runs, and where to report; None: each run into a file."""

    runs: tuple[PlannedRun, ...]
    reporter: Reporter | None


def run_all(
    runs: Sequence[PlannedRun], todo: Sequence[int], *, engine: Engine, workers: int, reporter: Reporter
) -> tuple[RunReceipt, ...]:
    """Makes the unfinished runs, first those that others need.

    Args:
        runs: All runs of the study.
        todo: The numbers of the unfinished ones.
        engine: What makes them.
        workers: Number of runs at a time.
        reporter: Gets the progress: of a single run everything, of several at a time one after another's latest.

    Returns:
        What happened to each, by number.
    """
    found: dict[int, RunReceipt] = {}
    together = workers > 1 and bool(todo)
    work = _Work(tuple(runs), None if together else reporter)
    if together:
        reporter.stage(f"make {plural(len(todo), 'run')}, {workers} at a time")
    with showing([runs[number] for number in todo], reporter) if together else nullcontext() as progress:
        for wave in waves(runs, todo):
            lost = {number: blocker for number in wave if (blocker := _blocker(runs[number], found)) is not None}
            for number, blocker in lost.items():
                found[number] = RunReceipt(number, error=_NEEDS, where=runs[blocker].label)
            with _ended_with_its_workers() if together else nullcontext():
                for receipt in _made(engine, work, [number for number in wave if number not in lost]):
                    found[receipt.number] = receipt
                    if progress is not None:
                        progress.finished = len(found)
                    _tell(runs[receipt.number], receipt, len(found), len(todo), reporter)
    return tuple(found[number] for number in sorted(found))


def _made(engine: Engine, work: _Work, numbers: Sequence[int]) -> Iterator[RunReceipt]:
    """The receipts of runs, in the order in which they finish.

    If processes are killed repeatedly, some run kills its own process, for example because it needs too much memory:
    the remaining runs are then made one after another, so that it does not end others.
    """
    missing = dict.fromkeys(numbers)
    try:
        for receipt in engine.make(run_one, work, numbers):
            del missing[receipt.number]
            yield receipt
    except WorkerKilledError:
        for number in missing:
            try:
                yield from engine.make(run_one, work, [number])
            except WorkerKilledError as error:
                yield RunReceipt(number, error=error.render())


def run_one(work: _Work, number: int) -> RunReceipt:
    """Makes one run; what stops it, expected or not, is in the receipt, and an unexpected error also in a file."""
    planned, start = work.runs[number], time.monotonic()
    latest = LatestLine(planned.progress)
    reporter = work.reporter or latest
    try:
        planned.folder.failure.unlink(missing_ok=True)
        if planned.tuned_by is not None:
            share_tuning(work.runs[planned.tuned_by].folder, planned.folder)
        reporter.stage(f"{planned.label} ({number + 1} of {len(work.runs)})")
        run(planned.file, out=planned.folder.root, reporter=reporter)
    except FlantuneError as error:
        return RunReceipt(number, error=error.render(), where=error.where, seconds=time.monotonic() - start)
    except Exception as error:  # any exception of a library in one run: the others continue
        told = _unforeseen(error, planned.folder)
        gc.collect()  # the failed run's model, before the next one asks for memory
        return RunReceipt(number, error=told, seconds=time.monotonic() - start)
    finally:
        latest.close()
    return RunReceipt(number, seconds=time.monotonic() - start)


def _unforeseen(error: Exception, folder: RunFolder) -> str:
    """An unexpected error of a run, in words; the traceback is written to a file in the run's folder."""
    kind, first = type(error).__name__, (str(error).strip() or "no message").splitlines()[0]
    message = f"{kind}: {first}"
    hint = "look for the cause in its text, then repeat the command: it makes this run again"
    if is_out_of_memory(error):
        hint = "too little memory: take fewer --jobs, a smaller packing.batch_tokens or a smaller model"
    try:
        write_text(folder.failure, "".join(traceback.format_exception(error)))
        hint += f"; the traceback is in {folder.failure}"
    except (OSError, FlantuneError):  # a full disk may be what stopped it
        pass
    return FlantuneError(message, hint=hint).render()


def missing_runs(runs: Sequence[PlannedRun]) -> tuple[int, ...]:
    """The numbers of the runs that are not finished.

    Raises:
        FlantuneError: A file of a run's folder is damaged.
    """
    return tuple(planned.number for planned in runs if not is_done(planned))


def with_done_leaders(runs: Sequence[PlannedRun], todo: Sequence[int]) -> tuple[PlannedRun, ...]:
    """The runs, each using the models of a finished run with the same tuning, if there is one."""
    done: dict[tuple[int, str], int] = {}
    for planned in runs:
        if planned.number not in todo:
            done.setdefault((planned.seed, planned.identity), planned.number)
    return tuple(
        replace(planned, tuned_by=leader)
        if (leader := done.get((planned.seed, planned.identity))) is not None and leader != planned.number
        else planned
        for planned in runs
    )


def _blocker(planned: PlannedRun, found: dict[int, RunReceipt]) -> int | None:
    return next((number for number in planned.after if number in found and found[number].error), None)


def _tell(planned: PlannedRun, receipt: RunReceipt, done: int, of: int, reporter: Reporter) -> None:
    if receipt.error:
        first = receipt.error.partition("\n")[0]
        reporter.note(f"{planned.label} failed ({done} of {of}): {first}")
    else:
        reporter.stage(f"done: {planned.label} ({done} of {of}, {receipt.seconds:,.0f} s)")


@contextmanager
def _ended_with_its_workers() -> Iterator[None]:
    """Within the block Ctrl-C ends the workers immediately: long runs are not waited for, and resume when repeated."""

    def end(number: int, frame: FrameType | None) -> None:
        for child in multiprocessing.active_children():
            child.kill()
        signal.default_int_handler(number, frame)

    if threading.current_thread() is not threading.main_thread():  # only the main thread gets Ctrl-C
        yield
        return
    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
