"""The program that runs Python functions of task files in a separate process: one JSON line in, one JSON line out.

Only ``task_code`` starts it and communicates with it. The first line has its limits; each further line is a request,
answered by ``{"done": …}`` or ``{"failed": …}``. Output that the functions print goes to the error stream.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import random
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from types import ModuleType
from typing import Any

from flantune.harness.walls import build_walls, limited

Json = Any
_ANCESTORS = 4
"""Folders above a task's own from which its files may import: ``from ...common import x`` goes up two."""
_LONGEST_MESSAGE = 1_000
_LONGEST_CHAIN = 20
"""Largest number of an error's causes that are examined: they may form a cycle."""


def main() -> int:
    """Answers requests until the input ends; returns the exit code."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    questions = os.fdopen(os.dup(0), encoding="ascii")
    os.dup2(2, 1)  # output that functions print must not mix with answers
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    start = json.loads(questions.readline())
    folder = start["folder"]
    sys.path.append(folder)
    _stand_in(start["collection"])
    held = build_walls(Path.cwd(), start)
    _send(answers, {"number": start["number"], "done": held})
    owner = os.getpid()
    for line in questions:
        question = json.loads(line)
        number = question.pop("number")
        with limited(int(start["cpu_s"]), int(start["wall_s"])):
            answer = _answered(question, folder=folder)
        if os.getpid() != owner:
            os._exit(0)  # a function forked and returned in both processes: only one may answer
        _send(answers, {"number": number, **answer})
    return 0


def _stand_in(collection: str) -> None:
    """Makes files of the harness's own collection importable as ``lm_eval.tasks.…`` if lm_eval is not installed.

    Imports of anything else in lm_eval fail with a clear error.
    """
    if not collection or importlib.util.find_spec("lm_eval") is not None:
        return
    for name, path in (("lm_eval", []), ("lm_eval.tasks", [collection])):
        package = ModuleType(name)
        package.__path__ = path
        sys.modules[name] = package


def _send(answers: Any, answer: Json) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _answered(question: Json, *, folder: str) -> Json:
    try:
        done = _DONE[question.pop("do")](**question)
        json.dumps(done)  # a value that is not JSON counts as a failure of the function
    except MemoryError:
        return {"failed": {"kind": "memory", "message": "it ran out of memory"}}
    except BaseException as error:  # including sys.exit() and KeyboardInterrupt
        _print(error)
        return {"failed": _described(error, folder)}
    return {"done": done}


def _print(error: BaseException) -> None:
    """Prints the traceback without the frames of this file, which say nothing about the function."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    traceback.print_exception(type(error), error, frames)


def _described(error: BaseException, folder: str) -> Json:
    missing: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if isinstance(missing, ModuleNotFoundError) and missing.name:
            return {"kind": "module", "module": missing.name, "message": _shown(missing)}
        missing = missing.__cause__ if missing is not None else None
    frames = traceback.extract_tb(error.__traceback__)
    place = next((one for one in reversed(frames) if one.filename.startswith(folder)), frames[-1])
    where = "" if place.filename == __file__ else f" ({Path(place.filename).name} line {place.lineno})"
    said = f": {shown}" if (shown := _shown(error)) else ""
    return {"kind": "error", "message": f"{type(error).__name__}{said}{where}"}


def _shown(error: BaseException) -> str:
    """An error's message, cut to a sensible length; its ``__str__`` may fail, too."""
    try:
        text = str(error)
    except Exception:
        return "its message cannot be read"
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}… ({len(text):,} characters)"


# --- functions by their names ---------------------------------------------------------------------------------------


def _function(reference: Sequence[str]) -> Callable[..., Any]:
    """The function with a name in a task file: from a file beside it, else from an importable module."""
    folder, name = Path(reference[0]), reference[1]
    module_name, _, attribute = name.rpartition(".")
    path = folder / (module_name.replace(".", "/") + ".py")
    module = _module_of(path) if path.is_file() else importlib.import_module(module_name)
    found: Callable[..., Any] = getattr(module, attribute)
    return found


def _module_of(path: Path) -> ModuleType:
    """A file as a module, with its folders as packages, so that relative imports work."""
    name = f"{_package(path.parent, _ANCESTORS)}.{path.stem.replace('.', '_')}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} cannot be loaded")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            # Not by the loader, which would use the byte code of an older text of the same length and second.
            exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _package(folder: Path, above: int) -> str:
    own = "folder_" + folder.name.replace(".", "_")
    name = f"{_package(folder.parent, above - 1)}.{own}" if above and folder.parent != folder else f"task_files_{own}"
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    return name


# --- requests -------------------------------------------------------------------------------------------------------


def _begin(functions: Sequence[Sequence[str]]) -> Json:
    """Loads functions, and seeds random numbers as the harness does."""
    random.seed(0)
    numpy = sys.modules.get("numpy") or (
        importlib.import_module("numpy") if importlib.util.find_spec("numpy") else None
    )
    if numpy is not None:
        numpy.random.seed(1234)
    for reference in functions:
        _function(reference)
    return len(functions)


def _docs(function: Sequence[str], rows: Sequence[Json]) -> Json:
    """``process_docs``: takes a ``datasets.Dataset``, returns rows."""
    return _rows(_function(function)(_datasets().Dataset.from_list([_read(row) for row in rows])))


def _made(function: Sequence[str], options: Mapping[str, Any], split: str) -> Json:
    """The rows that a function generates; if it generates splits, those of one split."""
    found = _function(function)(**options)
    if split and isinstance(found, Mapping):
        if split not in found:
            raise KeyError(f'no split "{split}" among {", ".join(map(str, found))}')
        found = found[split]
    return _rows(found)


def _rows(found: Any) -> Json:
    rows = [_plain(row) for row in found]
    strange = next((row for row in rows if not isinstance(row, dict)), None)
    if strange is not None:
        raise TypeError(f"returns {type(strange).__name__}, expected rows that are mappings from columns to values")
    return rows


def _each(functions: Mapping[str, Sequence[str]], rows: Sequence[Json]) -> Json:
    """Calls several functions on each row, in the harness's order."""
    called = {key: _function(reference) for key, reference in functions.items()}
    found = []
    for row in rows:
        doc = _read(row)
        found.append({key: _plain(function(doc)) for key, function in called.items()})
    return found


def _results(function: Sequence[str], row: Json, results: Json) -> Json:
    """``process_results``: takes a row and the model's answers to it, returns scores."""
    answers = [tuple(one) if isinstance(one, list) else one for one in results]
    return _plain(_function(function)(_read(row), answers))


def _metric(function: Sequence[str], gold: Json, answer: Json, options: Mapping[str, Any]) -> Json:
    """A metric on one answer; the harness has two ways of calling it."""
    metric = _function(function)
    try:
        return _plain(metric(references=[gold], predictions=[answer], **options))
    except TypeError:
        return _plain(metric([gold, answer]))


def _filter(function: Sequence[str], options: Mapping[str, Any], text: str, row: Json) -> Json:
    """A filter on one answer: a function of lists of answers, or a class with ``apply``."""
    found = _function(function)
    apply = found(**options).apply if isinstance(found, type) else found
    (answer,) = list(apply([[text]], [_read(row)]))
    return _plain(answer if isinstance(answer, str | int | float) else next(iter(answer)))


def _aggregate(function: Sequence[str], items: Sequence[Json], draws: Sequence[Sequence[int]]) -> Json:
    """The score over the items of each draw, which is given as indices."""
    total = _function(function)
    each = [(tuple(item) if isinstance(item, list) else item) for item in items]
    return [float(total([each[at] for at in draw])) for draw in draws]


_DONE: dict[str, Callable[..., Json]] = {
    "begin": _begin,
    "docs": _docs,
    "made": _made,
    "each": _each,
    "results": _results,
    "metric": _metric,
    "filter": _filter,
    "aggregate": _aggregate,
}


# --- values without a JSON type -------------------------------------------------------------------------------------

_TIMES: Mapping[str, Callable[[str], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
}
_TIME = "a time of Python"
_HALF = re.compile("[\ud800-\udfff]")


def _plain(value: Any) -> Json:
    """A value converted to JSON types; other types are refused by name."""
    if isinstance(value, str) and not value.isascii() and (half := _HALF.search(value)):
        raise ValueError(f"returns text with half a character ({half[0]!a}), which cannot be written")
    if value is None or isinstance(value, str | bool | int | float):
        return value.item() if value is not None and hasattr(value, "item") else value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset | Iterator):
        return [_plain(item) for item in value]
    if isinstance(value, datetime | date | time):
        return {_TIME: type(value).__name__, "text": value.isoformat()}
    if hasattr(value, "tolist"):  # numpy or torch
        return _plain(value.tolist())
    raise TypeError(
        f"returns a value of the type {type(value).__name__}, which is neither text, number, list nor mapping"
    )


def _read(value: Json) -> Any:
    if isinstance(value, dict):
        if _TIME in value:
            return _TIMES[value[_TIME]](value["text"])
        return {key: _read(item) for key, item in value.items()}
    return [_read(item) for item in value] if isinstance(value, list) else value


def _datasets() -> Any:
    datasets = importlib.import_module("datasets")
    datasets.disable_progress_bars()
    return datasets


if __name__ == "__main__":
    sys.exit(main())
