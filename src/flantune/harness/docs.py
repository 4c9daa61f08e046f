"""The rows of a harness task, and the fields that its templates render."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.errors import FlantuneError, TaskError, TemplateError, did_you_mean
from flantune.harness.csv_rows import typed_rows
from flantune.tasks.sources.files import FileSource
from flantune.tasks.sources.formats import FileFormat, FormatName, open_binary

if TYPE_CHECKING:
    import jinja2

    from flantune.harness.harness_file import HarnessTask
    from flantune.suites.suite import SuiteData
    from flantune.types import Row

Target = int | str | list[Any]

_FORMATS: Mapping[str, FormatName] = {"csv": "csv", "parquet": "parquet", "text": "lines"}


def load_rows(task: HarnessTask, split: str, data: SuiteData) -> list[Row]:
    """All rows of a split: local files, a mirror of the hub, or the hub.

    Raises:
        TaskError: The file names no dataset.
        flantune.errors.SourceError: The rows are missing or cannot be read.
    """
    path = task.text("dataset_path")
    if not path:
        raise TaskError("dataset_path: is missing", where=str(task.path))
    if path in {"json", *_FORMATS}:
        rows = list(_files(task, split, path).rows(split))
        return typed_rows(rows) if path == "csv" else rows
    name = task.values.get("dataset_name")
    return data.rows(path, None if name is None else str(name), split=split)


def _files(task: HarnessTask, split: str, kind: str) -> FileSource:
    options = task.values.get("dataset_kwargs") or {}
    given = options.get("data_files")
    # As in the datasets library, files without a split are the training split.
    files = given if isinstance(given, Mapping) else {"train": given}
    if not files.get(split):
        names = ", ".join(map(str, files))
        raise TaskError(f'dataset_kwargs.data_files: no split "{split}"; there are {names}', where=str(task.path))
    found = files[split]
    patterns = tuple(map(str, found)) if isinstance(found, list) else (str(found),)
    # The harness searches its working directory; files beside their task are found from anywhere.
    beside, here = task.path.parent, Path.cwd()
    root = here if not _is_there(beside, patterns) and _is_there(here, patterns) else beside
    source = FileSource(files={split: patterns}, root=root)
    key = str(options.get("field", ""))
    name = _json_form(source.paths(split)[0], key) if kind == "json" else _FORMATS[kind]
    return FileSource(files=source.files, form=FileFormat(name=name, key=key), root=root)


def _json_form(path: Path, key: str) -> FormatName:
    """JSON files contain a list, an object with a list, or one object per line, whatever their extension."""
    with open_binary(path) as handle:
        start = handle.read(4096).decode("utf-8-sig", "replace").lstrip()
    return "json" if key or start.startswith("[") else "jsonl"


def _is_there(root: Path, patterns: Sequence[str]) -> bool:
    return all(any(root.glob(pattern)) if not Path(pattern).is_absolute() else True for pattern in patterns)


def local_files(task: HarnessTask) -> tuple[Path, ...]:
    """The existing local files of a task's rows, for all splits."""
    kind = task.text("dataset_path")
    given = (task.values.get("dataset_kwargs") or {}).get("data_files")
    found: list[Path] = []
    for split in (given if isinstance(given, Mapping) else ["train"]) if kind in {"json", *_FORMATS} else ():
        with suppress(FlantuneError):
            found += _files(task, str(split), kind).paths(str(split))
    return tuple(found)


# --- fields ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.filters["regex_replace"] = _regex_replace
    return environment


def _regex_replace(text: str, pattern: str, repl: str, count: int = 0) -> str:
    return re.sub(pattern, repl, text, count=count)


@lru_cache(maxsize=1024)
def _template(text: str) -> jinja2.Template:
    return _environment().from_string(text)


def render(text: str, row: Row, *, where: str) -> str:
    """A template of a task file, rendered with a row, in a sandbox.

    >>> render("{{ a | upper }}!", {"a": "yes"}, where="here")
    'YES!'

    Raises:
        TemplateError: It names an unknown column, or needs what a sandbox does not allow.
    """
    try:
        return _template(text).render(**row)
    except Exception as error:  # a template is code and may raise anything
        said = f"cannot be rendered: {type(error).__name__}: {error}"
        raise TemplateError(said, where=where, hint=f"columns: {', '.join(row)}") from None


def text_of(task: HarnessTask, row: Row, key: str = "doc_to_text") -> str:
    """The question of a row.

    Raises:
        TaskError: The task puts the choices into the question, which is not supported, or names an unknown column.
    """
    template = task.values[key]
    if made := task.function(key):
        return _question(task, made[0].value(made[1], row), key)
    check_column(task, row, key)
    value = row[template] if isinstance(template, str) and template in row else None
    if isinstance(template, int) or (isinstance(value, int) and "doc_to_choice" in task.values):
        raise TaskError(f"{key}: a number (choices inside the question) is not supported", where=str(task.path))
    return str(value) if value is not None else render(str(template), row, where=f"{task.path}: {key}")


def _question(task: HarnessTask, made: object, key: str) -> str:
    if isinstance(made, str):
        return made
    what = "a number (choices inside the question)" if isinstance(made, int) else f"{made!r:.80}, which is not text,"
    raise TaskError(f"{key}: {what} is not supported", where=str(task.path))


def check_column(task: HarnessTask, row: Row, key: str) -> None:
    """Refuses a single word that is not a column: the harness would use it as the text of every question.

    Raises:
        TaskError: The word is not a column.
    """
    name = task.values[key]
    if isinstance(name, str) and name.isidentifier() and name not in row:
        hint = did_you_mean(name, row) or f"columns: {', '.join(row)}; a template has its fields in {{{{ }}}}"
        raise TaskError(f'{key}: there is no column "{name}"', where=str(task.path), hint=hint)


def choices_of(task: HarnessTask, row: Row) -> tuple[str, ...]:
    """The choices of a row; empty if the task has none.

    Raises:
        TaskError: The template does not give a list.
    """
    found = task.values.get("doc_to_choice")
    if found is None:
        return ()
    value: object
    if made := task.function("doc_to_choice"):
        value = made[0].value(made[1], row)
    elif isinstance(found, str):
        value = row[found] if found in row else _literal(task, render(found, row, where=f"{task.path}: doc_to_choice"))
    else:
        value = list(found.values()) if isinstance(found, Mapping) else found
    if not isinstance(value, (list, tuple)):
        raise TaskError(f"doc_to_choice: makes {value!r}, not a list", where=str(task.path))
    if any(choice is None or choice != choice for choice in value):  # only NaN differs from itself
        raise TaskError(f"doc_to_choice: makes {value!r:.200}, where a choice has no text", where=str(task.path))
    return tuple(str(choice) for choice in value)


def _literal(task: HarnessTask, text: str) -> object:
    try:
        value: object = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise TaskError(f"doc_to_choice: makes {text!r}, not a list", where=str(task.path)) from None
    return value


def target_of(task: HarnessTask, row: Row) -> Target:
    """The target of a row: the index of a choice, a text, or several of either."""
    found = task.values["doc_to_target"]
    if made := task.function("doc_to_target"):
        value = made[0].value(made[1], row)
        return value if isinstance(value, int | str | list) else str(value)
    if isinstance(found, (int, list)):
        return found
    if found in row:
        value = row[found]
        if isinstance(value, list) or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        return _plain(value, is_place="doc_to_choice" in task.values)
    text = render(str(found), row, where=f"{task.path}: doc_to_target")
    if text.isdecimal() and "doc_to_choice" in task.values:
        return int(text)
    if len(text) >= 2 and text[0] == "[" and text[-1] == "]":
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text
        return value if isinstance(value, list) else text
    return text


def _plain(value: object, *, is_place: bool) -> Target:
    """A plain target; True and 1.0 are indices if there are choices, and texts otherwise."""
    is_whole = isinstance(value, bool) or (isinstance(value, float) and value.is_integer())
    return int(value) if is_place and is_whole else str(value)  # type: ignore[call-overload]


def golds_of(target: Target, choices: Sequence[str]) -> tuple[int, ...]:
    """The indices of the right choices; answers that are not choices are left out.

    >>> golds_of(1, ("a", "b")), golds_of("b", ("a", "b")), golds_of([0, "b"], ("a", "b")), golds_of(7, ("a",))
    ((1,), (1,), (0, 1), ())
    """
    found = []
    for one in target if isinstance(target, list) else [target]:
        if isinstance(one, int) and 0 <= one < len(choices):
            found.append(one)
        elif isinstance(one, str) and one in choices:
            found.append(list(choices).index(one))
    return tuple(found)


def answers_of(target: Target, choices: Sequence[str]) -> tuple[str, ...]:
    """The right answers as texts; an exemplar shows the first."""
    if choices:
        return tuple(choices[gold] for gold in golds_of(target, choices))
    return tuple(str(one) for one in (target if isinstance(target, list) else [target]))
