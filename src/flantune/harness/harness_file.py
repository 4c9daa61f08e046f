"""Task files of lm-evaluation-harness as values: YAML with ``include`` and groups resolved; no code is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from flantune.errors import TaskError, did_you_mean
from flantune.harness.refusals import FIELDS, Loader, functions, not_run, problems, refuse, refuse_functions
from flantune.harness.task_code import Function, Limits, TaskCode
from flantune.system.files import read_text

Tree = dict[str, Any]

_READ = frozenset(
    {
        "task", "include", "group", "group_alias", "task_alias", "tag", "dataset_path", "dataset_name",
        "dataset_kwargs", "training_split", "validation_split", "test_split", "fewshot_split", "output_type",
        "doc_to_text", "doc_to_target", "doc_to_choice", "description", "target_delimiter", "fewshot_delimiter",
        "num_fewshot", "fewshot_config", "generation_kwargs", "filter_list", "metric_list", "metadata", "repeats",
        "should_decontaminate", "doc_to_decontamination_query", "unsafe_code", "gen_prefix",
    }
)  # fmt: skip
_SHOT_KEYS = frozenset(
    {"sampler", "split", "samples", "process_docs", "doc_to_text", "doc_to_target", "doc_to_choice", "gen_prefix"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessTask:
    """One task, with all of its ``include`` files merged.

    Attributes:
        values: Its settings, as in the YAML.
        group: The requested group that it belongs to; empty if the task itself was requested.
        code: Runs the functions it names; None: they are not run.
    """

    name: str
    values: Mapping[str, Any]
    path: Path
    group: str = ""
    code: TaskCode | None = None

    def of_exemplars(self) -> HarnessTask:
        """The task with the fields for its exemplars.

        Raises:
            TaskError: They are Python functions, which are not run.
        """
        shots = self.values.get("fewshot_config") or {}
        if self.code is None:
            refuse_functions({"fewshot_config": shots}, self.path)
        own = {key: shots[key] for key in (*FIELDS, "gen_prefix") if shots.get(key) is not None}
        return replace(self, values={**self.values, **own}) if own else self

    def text(self, key: str, default: str = "") -> str:
        """A setting as text."""
        value = self.values.get(key)
        return default if value is None else str(value)

    def function(self, key: str) -> tuple[TaskCode, Function] | None:
        """The code and the function that a setting names; None if it names no function.

        Raises:
            TaskError: It names a function, and functions are not run.
        """
        value = self.values.get(key)
        if not isinstance(value, Function):
            return None
        if self.code is None:
            raise not_run({key: value}, self.path)
        return self.code, value

    def functions(self, *, shots: int) -> tuple[Function, ...]:
        """All functions needed for its questions with ``shots`` exemplars each."""
        keys = ("process_docs", "custom_dataset", "process_results", *FIELDS)
        used: Tree = {key: self.values.get(key) for key in keys}
        if shots:
            used["fewshot_config"] = self.values.get("fewshot_config")
        return tuple(found for _, found in functions(used))


def read_task_file(path: Path, *, limits: Limits | None = None) -> tuple[HarnessTask, ...]:
    """The task of a file, or the tasks of a group file, in order.

    Args:
        path: The file.
        limits: Limits of its Python functions; None: they are not run, and a file that needs them is refused.

    Raises:
        TaskError: The file cannot be read, or needs something that flantune does not support.
    """
    _neighbors.cache_clear()
    values = load_settings(path)
    if "group" in values and isinstance(values.get("task"), list):
        found = [*_group_tasks(values, path)]
    else:
        found = [(values, path, "")]
    return tuple(_task(one, file, group=group, limits=limits) for one, file, group in found)


_Found = tuple[Tree, Path, str]
"""The settings of a task, its file, and the requested group that it belongs to."""


def _group_tasks(values: Tree, path: Path, *, outer: str = "") -> Iterator[_Found]:
    """A group's tasks; those of inner groups belong to the outermost group, the requested one."""
    group = outer or str(values["group"])
    for entry in values["task"]:
        if isinstance(entry, Mapping) and isinstance(entry.get("task"), list):
            yield from _group_tasks({**values.get("defaults", {}), **entry}, path, outer=group)
        elif isinstance(entry, Mapping):
            own = {**values.get("defaults", {}), **entry}
            found = _find(str(own["task"]), path)
            base = load_settings(found[0]) if found else {}
            yield {**base, **own}, found[0] if found else path, group
        else:
            yield from _named_tasks(str(entry), path, group=group)


def _named_tasks(name: str, path: Path, *, group: str) -> Iterator[_Found]:
    files = _find(name, path)
    if not files:
        hint = "put its YAML into the same folder or below"
        raise TaskError(f'no task, group or tag "{name}" beside this file', where=str(path), hint=hint)
    for file in files:
        values = load_settings(file)
        if "group" in values and isinstance(values.get("task"), list):
            yield from _group_tasks(values, file, outer=group)
        else:
            yield values, file, group


def _find(name: str, path: Path) -> list[Path]:
    """The file of the task or group with this name, or all files with this tag, in or below the folder."""
    named, tagged = [], []
    for other, values in _neighbors(path.parent):
        tags = values.get("tag") or []
        if other != path and name in (values.get("task"), values.get("group")):
            named.append(other)
        elif other != path and name in (tags if isinstance(tags, list) else [tags]):
            tagged.append(other)
    return named[:1] or tagged


@lru_cache(maxsize=64)
def _neighbors(folder: Path) -> tuple[tuple[Path, Tree], ...]:
    """Every task file in or below a folder; other files are skipped."""
    found = []
    for path in sorted(folder.rglob("*.yaml")):
        try:
            # The tag may be in an included file.
            found.append((path, load_settings(path)))
        except TaskError:
            continue
    return tuple(found)


def _task(values: Tree, path: Path, *, group: str, limits: Limits | None) -> HarnessTask:
    shots = values.get("fewshot_config") or {}
    unread = [(f"fewshot_config.{key}", "is not supported", "leave it out") for key in shots if key not in _SHOT_KEYS]
    refuse([*problems(values, _READ, runs_code=limits is not None), *unread], path)
    code = None if limits is None else TaskCode(path, limits)
    return HarnessTask(name=str(values["task"]), values=values, path=path, group=group, code=code)


def load_settings(path: Path, *, depth: int = 0) -> Tree:
    """A file's settings, with included files as defaults."""
    values = _parse(path)
    includes = values.pop("include", [])
    merged: Tree = {}
    for name in includes if isinstance(includes, list) else [includes]:
        if depth > 20:
            raise TaskError("includes itself", where=str(path))
        base = load_settings(path.parent / str(name), depth=depth + 1)
        # The included file's list of tasks is not inherited.
        merged |= {key: value for key, value in base.items() if key != "task_list"}
    return {**merged, **values}


def _parse(path: Path) -> Tree:
    near = [other.name for pattern in ("*.yaml", "*.yml") for other in path.parent.glob(pattern)]
    hint = did_you_mean(path.name, near) or "name a task file of lm-evaluation-harness"
    text = read_text(path, error=TaskError, what="task file", hint=hint)
    try:
        loader = Loader(text)
        loader.folder = path.parent
        values = loader.get_single_data()
    except RecursionError:
        raise TaskError("is not valid YAML: nested too deeply", where=str(path)) from None
    except (yaml.YAMLError, ValueError) as error:
        raise TaskError(f"is not valid YAML: {_yaml_fault(error)}", where=str(path), hint="fix that line") from None
    if not isinstance(values, dict):
        kind = "nothing" if values is None else "a list" if isinstance(values, list) else "one value"
        raise TaskError(f"holds {kind}; expected settings, as in task: name", where=str(path), hint=hint)
    return values


def _yaml_fault(error: Exception) -> str:
    """A parser's error in one line, with its place in the file."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or str(error).partition("\n")[0]
    return f"{what} in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else str(what)
