"""JSON files as typed values: the class that writes a file also reads it, so a wrong value is found on reading."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from flantune.errors import FlantuneError, SourceError
from flantune.settings.plain_words import Problem, problems_of, shown
from flantune.system import files

Value = TypeVar("Value")

_MOST_SHOWN = 3
_LARGEST = 2**64


def write_value(path: Path, value: object) -> Path:
    """Writes a frozen dataclass or a pydantic model as indented JSON, completely or not at all.

    Raises:
        FlantuneError: The folder cannot be written or the disk is full.
    """
    return files.write_json(path, plain(value))


def plain(value: object) -> Any:
    """A frozen dataclass or a pydantic model as plain JSON values.

    >>> from flantune.packing.packs import Counts
    >>> plain(Counts(prompts=3))["prompts"]
    3
    """
    return _adapter(type(value)).dump_python(value, mode="json", by_alias=True)


def read_value(
    path: Path, kind: type[Value], *, mends: str = "", error: type[FlantuneError] = FlantuneError, what: str = ""
) -> Value:
    """Reads a file that ``write_value`` wrote, or that a person wrote in the same format.

    Args:
        path: The file.
        kind: The class of the value.
        mends: What to do when the file is broken, for the message.
        error: What is raised.
        what: What to call a file that holds something else, for the message: "no training record".

    Raises:
        FlantuneError: The class asked for: the file is missing, is not JSON, or holds something else.
    """
    return value_of(
        files.read_json(path, mends=mends, error=error), kind, where=path, mends=mends, error=error, what=what
    )


def value_of(
    raw: object,
    kind: type[Value],
    *,
    where: Path | str,
    mends: str = "",
    error: type[FlantuneError] = FlantuneError,
    what: str = "",
) -> Value:
    """A value from plain ones, such as a line of a JSON-lines file; see ``read_value``.

    A number that JSON lacks (NaN, infinite, beyond 64 bits) is taken for null.

    Raises:
        FlantuneError: The class asked for: these are not the values of such a thing.

    >>> from flantune.packing.packs import Counts
    >>> value_of({"prompts": 3}, Counts, where="here").prompts
    3
    >>> value_of({"prompts": "many"}, Counts, where="counts.json", mends="count again")
    Traceback (most recent call last):
    flantune.errors.FlantuneError: counts.json: prompts: should be a whole number, got "many"
    hint: count again
    """
    # As JSON, in which a list may stand for a tuple and text for a path; half a character becomes a question mark.
    text = json.dumps(_tame(raw), ensure_ascii=False).encode("utf-8", "replace")
    try:
        value: Value = _adapter(kind).validate_json(text, strict=True)
    except ValidationError as found:
        said = _said(problems_of(found), raw)
        raise error(f"is {what}: {said}" if what else said, where=str(where), hint=mends or files.MENDS) from None
    return value


def read_lines(
    path: Path,
    kind: type[Value],
    *,
    mends: str,
    what: str = "",
    prepare: Callable[[Any], object] = lambda raw: raw,
) -> Iterator[tuple[str, Value]]:
    """The values of a JSON-lines file, each with where it stands, in constant memory.

    A last line that lacks its line break and is no JSON was cut off by a kill: it is passed over.

    Args:
        path: The file.
        kind: The class of each value.
        mends: What to do about a broken line, for the message.
        what: What to call a line that holds something else, for the message: "no answer".
        prepare: What is done to a line's plain values first.

    Raises:
        SourceError: The file cannot be read, or one of its lines is no such value.
    """
    try:
        files.check_regular(path)
        # What is not UTF-8 is not JSON either, but has a line.
        with path.open(encoding="utf-8-sig", errors="replace", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                where = f"{path}:{number}"
                try:
                    raw = prepare(json.loads(line.rstrip()))
                except (ValueError, RecursionError) as problem:
                    is_deep = isinstance(problem, RecursionError)
                    if not line.endswith("\n") and not is_deep:
                        return
                    why = "nested too deeply" if is_deep else str(problem).partition(";")[0]
                    if isinstance(problem, json.JSONDecodeError):  # it counts lines within the one it was given
                        why = f"{problem.msg}, at character {problem.pos + 1}"
                    said = f"is {what}: not valid JSON: {why}" if what else f"not valid JSON: {why}"
                    raise SourceError(said, where=where, hint=mends) from None
                yield where, value_of(raw, kind, where=where, mends=mends, error=SourceError, what=what)
    except OSError as problem:
        raise SourceError(f"cannot be read: {problem.strerror}", where=str(path), hint=mends) from None


_adapter: Callable[[object], TypeAdapter[Any]] = cache(TypeAdapter)


def _tame(value: object) -> object:
    """The value without numbers that JSON lacks."""
    if isinstance(value, dict):
        return {key: _tame(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_tame(item) for item in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return None if isinstance(value, int) and abs(value) >= _LARGEST else value


def _said(problems: list[Problem], raw: object) -> str:
    """What is wrong, a line each; of a file of another version that alone."""
    if not isinstance(raw, dict):
        return f"should be a JSON object, got {shown(raw)}"
    version = next((one for one in problems if one.place == ("schema",)), None)
    if version is not None:
        got = "of no version" if version.kind == "missing" else f"version {shown(version.got)}"
        return f"was written by another version of flantune ({got}; this one reads {_expected(version)})"
    shown_ones = [_line(one) for one in problems[:_MOST_SHOWN]]
    left = len(problems) - len(shown_ones)
    return "; ".join([*shown_ones, *([f"and {left} more"] if left else [])])


def _expected(problem: Problem) -> str:
    return problem.text.removeprefix("should be ") if problem.kind != "missing" else "another"


def _line(problem: Problem) -> str:
    if problem.kind == "missing":
        return f"{problem.path}: is missing"
    text = problem.text.replace("a table", "an object")
    return f"{problem.path}: {text}, got {shown(problem.got)}"
