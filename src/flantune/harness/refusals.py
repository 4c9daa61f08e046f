"""Unsupported settings of harness task files: where they are, and what to do instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from flantune.errors import TaskError, did_you_mean
from flantune.harness.task_code import Function

if TYPE_CHECKING:
    from collections.abc import Collection

_ROWS = "write the rows it makes into a JSON file, name that in dataset_kwargs.data_files, and leave the key out"
_COLUMN = "write what it makes into a column of a JSON file, and name that column here"
_METRICS = "leave it out, and name metrics in metric_list"
_NO_CODE = "flantune runs no code of task files unless told to"
TRUST = "with --trust-task-code these functions are run, like any program by their author: read them first"
"""Hint on how to run functions, and its risk."""

OF_CODE = {
    "process_docs": (f"a function that changes rows; {_NO_CODE}", _ROWS),
    "process_results": (f"a function that scores; {_NO_CODE}", _METRICS),
    "custom_dataset": (f"a function that makes rows; {_NO_CODE}", _ROWS),
}
"""Keys whose only possible value is a function → its purpose, what to do instead."""

REFUSED = {
    "class": ("a task written in Python", "write its prompts as templates of a task file"),
    "use_prompt": ("a prompt of promptsource", "write the template into doc_to_text and doc_to_target"),
    "doc_to_image": ("images are not supported", "choose a task that has only text"),
    "doc_to_audio": ("audio is not supported", "choose a task that has only text"),
}
"""Unsupported keys that change questions or scores → what they are, what to do instead."""

UNUSED_CODE = ("doc_to_decontamination_query", "metric_list", "filter_list", "fewshot_config")
"""Keys whose functions are checked only when they are used: then they are refused, or left out with a note."""

FIELDS = ("doc_to_text", "doc_to_target", "doc_to_choice")
"""Keys whose value may be a function of a row."""


class Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    """Loads plain YAML values, and names of functions in Python files beside the YAML file.

    Attributes:
        folder: Folder of the YAML file.
    """

    folder = Path()


def _function(loader: Loader, node: yaml.Node) -> Function:
    return Function(folder=loader.folder, name=str(loader.construct_scalar(node)))


Loader.add_constructor("!function", _function)


def functions(value: object, key: str = "") -> Iterator[tuple[str, Function]]:
    """Every function named in a value, with its dotted key.

    >>> [(key, found) for key, found in functions({"a": [{"b": Function(folder=Path(), name="x.y")}]})]
    [('a.b', !function x.y)]
    """
    if isinstance(value, Function):
        yield key, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from functions(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from functions(item, key)


def problems(
    values: Mapping[str, Any], known: Collection[str], *, runs_code: bool = False
) -> Iterator[tuple[str, str, str]]:
    """Everything unsupported: its key, what is wrong, and what to do instead.

    Args:
        values: The task's settings.
        known: Supported keys.
        runs_code: Whether functions of the file are run.
    """
    for key, value in values.items():
        if key in OF_CODE:
            yield from _of_code(key, value, runs_code=runs_code)
        elif key in REFUSED:
            yield key, *REFUSED[key]
        elif key not in known:
            close = did_you_mean(key, known)
            yield key, "unknown key" + (f", {close}" if close else ""), "leave it out if it changes nothing"
    run = FIELDS if runs_code else ()
    yield from _code({k: v for k, v in values.items() if k not in {*REFUSED, *OF_CODE, *UNUSED_CODE, *run}})
    for key in ("task", "doc_to_text", "doc_to_target"):
        if key not in values:
            yield key, "is missing", f"give {key}: {'a name' if key == 'task' else 'a column or a template'}"
    kind = values.get("output_type", "generate_until")
    if kind not in {"multiple_choice", "generate_until"}:
        yield "output_type", f"{kind} is not supported", "use multiple_choice or generate_until"


def _of_code(key: str, value: object, *, runs_code: bool) -> Iterator[tuple[str, str, str]]:
    if not runs_code:
        yield key, *OF_CODE[key]
    elif not isinstance(value, Function):
        yield key, f"is {value!r}, where a function is expected", "write !function file.name"


def _code(values: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for key, found in functions(values):
        yield key, f"{found} is Python code, which flantune does not run unless told to", _COLUMN


def refuse_functions(values: Mapping[str, Any], path: Path) -> None:
    """Makes sure that settings about to be used name no Python code.

    Raises:
        TaskError: A setting names Python code.
    """
    refuse(list(_code(values)), path)


def not_run(values: Mapping[str, Any], path: Path) -> TaskError:
    """The error for settings about to be used that name Python code, which may not run."""
    return _error(list(_code(values)), path)


def refuse(found: Sequence[tuple[str, str, str]], path: Path) -> None:
    """Raises one error with everything that is wrong with a task file; returns if nothing is.

    Args:
        found: The problems, as returned by ``problems``.
        path: The file.

    Raises:
        TaskError: Something is wrong.
    """
    if found:
        raise _error(found, path)


def _error(found: Sequence[tuple[str, str, str]], path: Path) -> TaskError:
    lines = [f"  {_place(path, key)}: {what}" for key, what, _ in found]
    remedies: dict[str, list[str]] = {}
    for key, _, remedy in found:
        remedies.setdefault(remedy, []).append(key)
    hint = "; ".join(f"{', '.join(keys)}: {remedy}" for remedy, keys in remedies.items())
    if any(what.endswith("unless told to") for _, what, _ in found):
        hint = f"{TRUST}; or {hint}"
    count = f"{len(found)} problem{'s' if len(found) > 1 else ''}"
    return TaskError("\n".join([count, *lines]), where=str(path), hint=hint)


def _place(path: Path, key: str) -> str:
    """The key with its line, and the included file that it is in; only the key if it is missing."""
    for file in (path, *_included(path)):
        line = _line(_node(file), key.split("."))
        if line is not None:
            return f"line {line}{'' if file == path else f' of {file.name}'}, {key}"
    return key


def _included(path: Path, depth: int = 0) -> Iterator[Path]:
    names = [value for key, value in _entries(_node(path)) if key.value == "include"]
    each = [one for name in names for one in (name.value if isinstance(name, yaml.SequenceNode) else [name])]
    for one in reversed(each) if depth < 20 else ():
        yield path.parent / str(one.value)
        yield from _included(path.parent / str(one.value), depth + 1)


def _node(path: Path) -> yaml.Node | None:
    try:
        return yaml.compose(path.read_text(encoding="utf-8"), Loader=Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None


def _entries(node: yaml.Node | None) -> list[tuple[Any, Any]]:
    return list(node.value) if isinstance(node, yaml.MappingNode) else []


def _line(node: yaml.Node | None, keys: Sequence[str]) -> int | None:
    """The line of a nested key, searched for in all elements of lists."""
    if isinstance(node, yaml.SequenceNode):
        return next((line for item in node.value if (line := _line(item, keys)) is not None), None)
    for name, value in _entries(node):
        if str(name.value) == keys[0]:
            inner = _line(value, keys[1:]) if len(keys) > 1 else None
            return inner if len(keys) > 1 else int(name.start_mark.line) + 1
    return None
