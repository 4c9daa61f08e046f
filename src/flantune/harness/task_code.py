"""Runs Python functions of task files, if the user allows it, in a separate process with few rights.

A function is identified by the folder of the file that names it and by its name, ``utils.process_docs``. Rows and
answers are sent as JSON lines, many at a time, to ``code_process`` and back. Nothing is pickled, and a task's Python is
never imported into this process.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import IO, Any, ClassVar

from flantune.errors import TaskError
from flantune.harness.code_surroundings import collection, environment

Json = Any
_LAST_LINES, _LAST_BYTES, _LONGEST_LINE = 6, 8_000, 200
_PATIENCE_S = 10
"""Seconds that a process may take to end after it has closed its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of a task's functions.

    Attributes:
        wall_s: Seconds for one request, such as all rows of a split.
        cpu_s: Seconds of processor time for one request.
        memory_bytes: Address space of their process.
        file_bytes: Size of a file that they write into their own folder.
    """

    wall_s: int = 900
    cpu_s: int = 900
    memory_bytes: int = 16 << 30
    file_bytes: int = 4 << 30


class MissingModuleError(TaskError):
    """A task's functions import a module that is not installed.

    Attributes:
        module: Its name.
    """

    module: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Function:
    """A function named in a task file.

    Attributes:
        folder: Folder of the file that names it.
        name: Its name in that file, ``utils.process_docs``.
    """

    folder: Path
    name: str

    def __repr__(self) -> str:
        return f"!function {self.name}"

    @property
    def file(self) -> Path | None:
        """Its Python file; None if it is in an importable module instead."""
        path = self.folder / (self.name.rpartition(".")[0].replace(".", "/") + ".py")
        return path if path.is_file() else None

    @property
    def reference(self) -> list[str]:
        """Folder and name, as in requests to the process."""
        return [str(self.folder.resolve()), self.name]


@dataclass(slots=True)
class TaskCode:
    """The functions of one task file.

    There is at most one process at a time. Consecutive requests for functions from the same folder share it.

    Attributes:
        path: The task file, for messages.
        limits: Their limits.
        made: Folder, name and row → the value that the function returned; each is requested once.
    """

    path: Path
    limits: Limits = field(default_factory=Limits)
    made: dict[tuple[str, str, str], Json] = field(default_factory=dict, repr=False)
    process: ClassVar[_Process | None] = None

    def begin(self, functions: Sequence[Function]) -> None:
        """Loads functions, so that missing ones are reported before any row is read.

        Raises:
            MissingModuleError: They import a module that is not installed.
            TaskError: One does not exist, or its file cannot be loaded.
        """
        running = TaskCode.process
        if running is not None and not running.is_fresh:
            running.close()
        for function in dict.fromkeys(functions):
            self._ask("begin", function, functions=[function.reference])

    def docs(self, function: Function, rows: Sequence[Json]) -> list[Json]:
        """The rows of a split after ``process_docs``."""
        return list(self._ask("docs", function, function=function.reference, rows=rows))

    def rows(self, function: Function, options: Mapping[str, Any], split: str = "") -> list[Json]:
        """The rows that a function generates; if it generates splits, those of one split."""
        return list(self._ask("made", function, function=function.reference, options=options, split=split))

    def prepare(self, functions: Mapping[str, Function], rows: Sequence[Json]) -> None:
        """Calls functions on many rows at once; ``value`` then returns the results without a request."""
        texts = {_text(row): row for row in rows}
        new = {
            text: row
            for text, row in texts.items()
            if any((str(function.folder), function.name, text) not in self.made for function in functions.values())
        }
        if not functions or not new:
            return
        named = {key: function.reference for key, function in functions.items()}
        first = next(iter(functions.values()))
        found = self._ask("each", first, functions=named, rows=list(new.values()))
        for text, values in zip(new, found, strict=True):
            for key, function in functions.items():
                self.made[str(function.folder), function.name, text] = values[key]

    def value(self, function: Function, row: Json) -> Json:
        """A function's result on a row."""
        self.prepare({"value": function}, [row])
        return self.made[str(function.folder), function.name, _text(row)]

    def results(self, function: Function, row: Json, answers: Sequence[Json]) -> Mapping[str, Json]:
        """The scores that ``process_results`` returns for a row and the model's answers."""
        found = self._ask("results", function, function=function.reference, row=row, results=answers)
        if not isinstance(found, dict):
            raise self._error(function, f"returns {type(found).__name__}, expected a mapping from metrics to values")
        return found

    def metric(self, function: Function, gold: Json, answer: Json, options: Mapping[str, Any]) -> Json:
        """A metric's result on one answer."""
        return self._ask("metric", function, function=function.reference, gold=gold, answer=answer, options=options)

    def filtered(self, function: Function, options: Mapping[str, Any], text: str, row: Json) -> Json:
        """An answer after a filter."""
        return self._ask("filter", function, function=function.reference, options=options, text=text, row=row)

    def aggregate(self, function: Function, items: Sequence[Json], draws: Sequence[Sequence[int]]) -> list[float]:
        """The score over the items of each draw, which is given as indices."""
        return list(self._ask("aggregate", function, function=function.reference, items=items, draws=draws))

    def _ask(self, do: str, asked: Function, /, **question: Json) -> Json:
        answer = self._running(asked).ask({"do": do, **question}, self.limits)
        if "done" in answer:
            return answer["done"]
        failed = answer["failed"]
        wanted = asked.name.rpartition(".")[0].partition(".")[0]
        if failed["kind"] == "module" and asked.file is None and failed["module"] == wanted:
            message = f"there is no file {wanted}.py beside the task file, and no module of that name is installed"
            raise self._error(asked, message)
        if failed["kind"] == "module":
            error = MissingModuleError(
                f"{asked.name}: the file of this function imports {failed['module']}, which is not installed",
                where=str(self.path),
                hint=_install(failed["module"]),
            )
            error.module = failed["module"]
            raise error
        raise self._error(asked, failed["message"], failed.get("last", ()))

    def _running(self, function: Function) -> _Process:
        folder = str(function.folder.resolve())
        running = TaskCode.process
        if running is None or not running.serves(folder, self.limits):
            if running is not None:
                running.close()
            running = _Process(folder, self.limits)
            if running.broken:
                raise self._error(
                    function, f"its process did not start: {running.broken['message']}", running.broken["last"]
                )
            TaskCode.process = running
        return running

    def _error(self, function: Function, message: str, last: Sequence[str] = ()) -> TaskError:
        said = "".join(f"\n  | {line}" for line in last)
        return TaskError(f"{function.name}: {message}{said}", where=str(self.path))


def _install(module: str) -> str:
    if module.split(".")[0] == "lm_eval":
        return "it is written for lm-evaluation-harness: install lm_eval into flantune's environment"
    if module == "datasets":
        return "in flantune's folder: pip install -e '.[hub]'"
    return f"install the package that has {module.split('.')[0]} into flantune's environment"


def _text(row: Json) -> str:
    return json.dumps(row, sort_keys=True, default=str)


def files_of(functions: Sequence[Function]) -> dict[str, str]:
    """Path → SHA-256, for all Python files that functions may import from their folders."""
    folders = sorted({one.folder.resolve() for one in functions})
    files = sorted({path for folder in folders for path in folder.glob("*.py")})
    files += [one.file for one in functions if one.file is not None and one.file.resolve() not in files]
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in files}


class _Process:
    """One running ``code_process``."""

    def __init__(self, folder: str, limits: Limits) -> None:
        self.folder, self.limits, self.state = folder, limits, _state(folder)
        self.home = Path(tempfile.mkdtemp(prefix="flantune-task-code-"))
        self.errors: IO[bytes] = (self.home / "errors.txt").open("w+b")
        own = self.home / "own"
        own.mkdir()
        self.running = subprocess.Popen(
            [sys.executable, "-P", "-m", "flantune.harness.code_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            cwd=own,
            env=environment(own),
            start_new_session=True,
        )
        self.lines: SimpleQueue[bytes] = SimpleQueue()
        self.told = self.asked = 0
        Thread(target=self._listen, daemon=True).start()
        atexit.register(self.close)
        started = self.ask(
            {
                "folder": folder,
                "collection": collection(Path(folder)),
                "cpu_s": limits.cpu_s,
                "wall_s": limits.wall_s,
                "memory_bytes": limits.memory_bytes,
                "file_bytes": limits.file_bytes,
            },
            limits,
        )
        self.held: Sequence[str] = started.get("done", ())
        self.broken: Mapping[str, Any] = started.get("failed", {})

    @property
    def is_fresh(self) -> bool:
        """Whether the Python files of its folder are unchanged since it started."""
        return self.state == _state(self.folder)

    def serves(self, folder: str, limits: Limits) -> bool:
        """Whether it can run functions from this folder with these limits."""
        return folder == self.folder and limits == self.limits and self.running.poll() is None

    def ask(self, question: Json, limits: Limits) -> Mapping[str, Any]:
        """Sends a request; returns the answer, or a description of what went wrong."""
        self.told = os.fstat(self.errors.fileno()).st_size
        self.asked += 1
        line = json.dumps({**question, "number": self.asked}, default=_time).encode("ascii") + b"\n"
        # In a separate thread, since writing to a process that hangs blocks.
        Thread(target=self._write, args=(line,), daemon=True).start()
        try:
            answer = self._next_line(limits.wall_s)
        except Empty:
            return self._failed(f"did not end within {limits.wall_s} s, and was stopped")
        if not answer:
            return self._failed(self._why_it_ended())
        found = self._answer(answer)
        if found is None:
            return self._failed("its output does not answer the request: it writes to the stream of answers")
        failed = found.get("failed")
        if failed and failed["kind"] == "memory":
            return self._failed(f"needs more memory than the {limits.memory_bytes / 2**30:g} GiB it may use")
        if failed and failed["kind"] == "error":
            failed["last"] = self._last_lines()
        return found

    def _next_line(self, seconds: float) -> bytes:
        """The next line of its output; empty if it has ended, even if processes that it started still run.

        Raises:
            Empty: There was none in time.
        """
        end = monotonic() + seconds
        while True:
            has_ended = self.running.poll() is not None
            try:
                return self.lines.get(timeout=max(0.0, min(1.0, end - monotonic())))
            except Empty:
                if has_ended:
                    return b""
                if monotonic() >= end:
                    raise

    def _answer(self, line: bytes) -> dict[str, Any] | None:
        """A line as the answer to the last request; None: a function printed it."""
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) and found.get("number") == self.asked else None

    def _failed(self, message: str) -> Mapping[str, Any]:
        last = self._last_lines()
        self.close()
        return {"failed": {"kind": "end", "message": message, "last": last}}

    def _why_it_ended(self) -> str:
        try:
            code = self.running.wait(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            return "closed the pipe of its answers, and was stopped"
        if code == -getattr(signal, "SIGXCPU", 0):
            return f"used more than {self.limits.cpu_s} s of processor time, and was stopped"
        if code >= 0:
            return f"its process ended with the exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        why = ", perhaps since the machine ran out of memory" if name == "SIGKILL" else ""
        return f"its process ended by the signal {name}{why}"

    def _last_lines(self) -> list[str]:
        """The last lines that it wrote to its error stream since the last request."""
        with suppress(OSError), (self.home / "errors.txt").open("rb") as file:
            file.seek(max(self.told, os.fstat(file.fileno()).st_size - _LAST_BYTES))
            lines = file.read(_LAST_BYTES).decode("utf-8", "replace").splitlines()
            return [_shortened(line.rstrip()) for line in lines if line.strip()][-_LAST_LINES:]
        return []

    def _write(self, line: bytes) -> None:
        # The process may have ended; then there is no answer, which is reported.
        with suppress(OSError, ValueError):
            if self.running.stdin is not None:
                self.running.stdin.write(line)
                self.running.stdin.flush()

    def _listen(self) -> None:
        if self.running.stdout is not None:
            for line in self.running.stdout:
                self.lines.put(line)
        self.lines.put(b"")

    def close(self) -> None:
        """Kills it and all processes that it started, and removes its folder."""
        if TaskCode.process is self:
            TaskCode.process = None
        atexit.unregister(self.close)
        with suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(self.running.pid, signal.SIGKILL)
            else:
                self.running.kill()
        self.running.wait()
        self.errors.close()
        shutil.rmtree(self.home, ignore_errors=True)


def _state(folder: str) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of a folder's Python files, to detect changes."""
    found = ((path, path.stat()) for path in sorted(Path(folder).glob("*.py")))
    return tuple((path.name, state.st_size, state.st_mtime_ns) for path, state in found)


def _shortened(line: str) -> str:
    """A line of a function's output, cut to a length that suits an error message."""
    return line if len(line) <= _LONGEST_LINE else line[:_LONGEST_LINE] + "…"


def _time(value: object) -> Json:
    """Dates and times as text, since JSON has no type for them."""
    if hasattr(value, "isoformat"):
        return {"a time of Python": type(value).__name__, "text": value.isoformat()}
    raise TypeError(f"a value of the type {type(value).__name__} cannot be passed to the functions of a task file")
