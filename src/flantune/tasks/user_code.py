"""Users' Python code: adapters and task files, loaded by path or by name, with a fingerprint of their text."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from flantune.errors import TaskError, did_you_mean
from flantune.types import Example, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonAdapter:
    """A user's function as an adapter that can be sent to another process, by name.

    Attributes:
        reference: ``my_adapters.py:rte``, or ``package.module:function``.
        folder: The folder that a path is relative to.
        fingerprint: Changes with the text of the function's file (or package).
    """

    reference: str
    folder: str
    fingerprint: str

    def __call__(self, row: Row) -> Example | None:
        """Adapts a row with the user's function."""
        # Looked up by name each time, since a function loaded from a file cannot be pickled.
        return _function(self.reference, self.folder, self.fingerprint)(row)


def load_adapter(reference: str, folder: Path) -> PythonAdapter:
    """A user's adapter function, loaded once to check that it exists.

    Args:
        reference: ``my_adapters.py:rte``, or ``package.module:function``.
        folder: The folder that a path is relative to.

    Raises:
        TaskError: There is no such file, module or function, or it fails to load.
    """
    target, colon, _ = reference.rpartition(":")
    if not colon or not target:
        raise TaskError(
            f'"{reference}" names no function', hint='write "file.py:function" or "package.module:function"'
        )
    fingerprint = sha256(f"{reference}\n{_text_behind(target, folder)}".encode()).hexdigest()
    adapter = PythonAdapter(reference=reference, folder=str(folder), fingerprint=fingerprint)
    _function(adapter.reference, adapter.folder, adapter.fingerprint)
    return adapter


@lru_cache(maxsize=4096)
def _function(reference: str, folder: str, fingerprint: str) -> Callable[[Row], Example | None]:  # noqa: ARG001
    target, _, name = reference.rpartition(":")
    is_file = target.endswith(".py")
    module = load_module_file(Path(folder) / target) if is_file else _import_module(target)
    function = getattr(module, name, None)
    if not callable(function):
        functions = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise TaskError(f'"{target}" has no function "{name}"', hint=did_you_mean(name, functions))
    return function  # type: ignore[no-any-return]


def load_module_file(path: Path) -> ModuleType:
    """A Python file as a module, reloaded whenever its text has changed.

    Raises:
        TaskError: There is no such file, or it fails to load.
    """
    text = _read_text(path)
    name = "flantune_user_" + sha256(f"{path.resolve()}\n{text}".encode()).hexdigest()
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TaskError("cannot be loaded as Python", where=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module while it loads
    try:
        # Not through the loader: it would reuse byte code of an older text with the same length and time in seconds.
        exec(compile(text.encode(), str(path), "exec"), vars(module))
    except Exception as error:
        del sys.modules[name]
        raise TaskError(f"fails to load: {_last_place(error, path)}", where=str(path)) from error
    return module


def _last_place(error: Exception, path: Path) -> str:
    """An exception on one line, with the last line of the user's file in its traceback."""
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    place = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {error}{place}"


def describe_exception(error: Exception) -> str:
    """An exception from a user's adapter, on one line, with its place.

    >>> try:
    ...     {}["label"]
    ... except KeyError as error:
    ...     describe_exception(error)
    "KeyError: 'label'"
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    path = Path(trace.tb_frame.f_code.co_filename) if trace is not None else Path()
    place = f" ({path.name} line {trace.tb_lineno})" if trace is not None and path.is_file() else ""
    return f"{type(error).__name__}: {error}{place}"


def _import_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        hint = f'for a file, write "{name}.py:function"; else install the package that holds it'
        raise TaskError(f'no module "{error.name}"', hint=hint) from error
    except Exception as error:
        raise TaskError(f'module "{name}" fails to load: {type(error).__name__}: {error}') from error


def _text_behind(target: str, folder: Path) -> str:
    """The text that determines what an adapter does: its file, or all files beside it if it is in a package."""
    if target.endswith(".py"):
        return _read_text(folder / target)
    return _module_text(_import_module(target))


def _module_text(module: ModuleType) -> str:
    path = Path(getattr(module, "__file__", None) or "")
    if path.suffix != ".py":
        return ""
    # Adapters in a package share helpers in neighboring modules, so those count too.
    files = sorted(path.parent.glob("*.py")) if module.__package__ else [path]
    return "\n".join(f"# {file.name}\n{_read_text(file)}" for file in files)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        siblings = [other.name for other in path.parent.glob("*.py")]
        raise TaskError("no such file", where=str(path), hint=did_you_mean(path.name, siblings)) from None
    except (OSError, UnicodeError) as error:
        raise TaskError(f"cannot be read: {error}", where=str(path)) from error


def fingerprint_of(adapter: object) -> str:
    """A string that changes with an adapter: its code, and the values it was made with.

    Code is identified by the text of its file, values by their ``repr``. An object without its own ``repr`` has a
    different fingerprint in every process: its rows are then adapted again, which is slow but never wrong.
    """
    known = getattr(adapter, "fingerprint", None)
    if isinstance(known, str) and known:
        return known
    return sha256("\n".join(_parts_of(adapter)).encode("utf-8", "surrogatepass")).hexdigest()


def _parts_of(adapter: object) -> list[str]:
    if isinstance(adapter, partial):
        return [fingerprint_of(adapter.func), repr(adapter.args), repr(adapter.keywords)]
    if not isinstance(adapter, FunctionType):
        kind = type(adapter)
        return [kind.__qualname__, _source_of(kind), repr(adapter)]
    cells = [cell.cell_contents for cell in adapter.__closure__ or ()]
    values = [fingerprint_of(value) if isinstance(value, FunctionType) else repr(value) for value in cells]
    code = _source_of(adapter) or _code_text(adapter.__code__)
    place = str(adapter.__code__.co_firstlineno)  # two lambdas of one file
    return [adapter.__qualname__, place, code, repr((adapter.__defaults__, adapter.__kwdefaults__)), *values]


def _source_of(thing: object) -> str:
    module = inspect.getmodule(thing)
    return _module_text(module) if module is not None else ""


def _code_text(code: CodeType) -> str:
    """For functions typed into an interpreter, which have no file."""
    constants = [_code_text(value) if isinstance(value, CodeType) else repr(value) for value in code.co_consts]
    return repr((code.co_code, code.co_names, code.co_varnames, constants))
