"""All tasks of a run, from task files, Python files and shipped collections."""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.errors import ConfigError, FlantuneError, TaskError, did_you_mean
from flantune.system.files import is_folder, near_file, read_text
from flantune.tasks.chain_of_thought import load_chain_of_thought
from flantune.tasks.instruction_index import count_faults, read_index
from flantune.tasks.naming import is_named
from flantune.tasks.natural_instructions import load_natural_instructions
from flantune.tasks.permitted import permitted
from flantune.tasks.promptsource import digest_of, load_promptsource
from flantune.tasks.regroup import load_grouping, regroup
from flantune.tasks.shipped_files import collection_files
from flantune.tasks.sources.files import matching_files
from flantune.tasks.taskfile import load_task_file
from flantune.tasks.taskfile_sections import MOST_NAME
from flantune.tasks.user_code import describe_exception, fingerprint_of, load_module_file
from flantune.types import Source, Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flantune.settings.config import DataSettings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


def load_tasks(settings: DataSettings, *, root: Path) -> tuple[Task, ...]:
    """The tasks of a run, in the order of the run file: the collection's, those of task files, then of folders.

    Args:
        settings: The run file's ``[data]``.
        root: The folder that relative paths are relative to: the run file's.

    Raises:
        TaskError: Task files are missing or wrong; the problems of all files come at once.
        ConfigError: ``[data]`` names tasks or a collection that do not exist.
    """
    mirror = root / settings.mirror.expanduser() if settings.mirror is not None else None
    # The folder's tasks are those of the collection with other rows, and replace them.
    shipped = [name for name in settings.collection if name != "cot" or settings.chain_of_thought is None]
    paths = [*collection_files(shipped), *_task_files(settings.tasks, root)]
    if not paths and not any((settings.natural_instructions, settings.promptsource, settings.chain_of_thought)):
        raise ConfigError(
            "no tasks", where="data", hint='set [data] tasks = ["my_task.toml"] or collection = "flan2021"'
        )
    tasks: list[Task] = []
    problems: list[FlantuneError] = []
    for path in dict.fromkeys(paths):
        try:
            tasks.extend(_load_file(path, mirror))
        except FlantuneError as error:
            problems.append(error)
    _raise_gathered(problems)
    if settings.natural_instructions is not None:
        cache = _cache(settings, root)
        tasks.extend(load_natural_instructions(settings.natural_instructions, root=root, cache=cache))
    if settings.chain_of_thought is not None:
        tasks.extend(load_chain_of_thought(settings.chain_of_thought, root=root))
    if settings.promptsource is not None:
        for task in load_promptsource(settings.promptsource, root=root):
            source = task.source if mirror is None else task.source.with_mirror(mirror)
            tasks.append(replace(task, source=source, collection="t0"))
    _check_unique(tasks)
    return _grouped(permitted(_select(tasks, settings), settings), settings.clusters, root)


def folder_notes(settings: DataSettings, *, root: Path) -> Iterator[str]:
    """Oddities in a folder of Natural-Instructions, with counts, and which texts of promptsource are used.

    Raises:
        SourceError: The folder has different contents.
    """
    if settings.promptsource is not None:
        digest = digest_of(settings.promptsource, root=root)
        yield f"{settings.promptsource.folder.name}: the templates' digest is {digest}"
    if settings.natural_instructions is not None:
        folder = root / settings.natural_instructions.folder.expanduser()
        index = read_index(folder, cache=_cache(settings, root))
        for words, count in count_faults(index).items():
            yield f"{folder.name}: in {count:,} of {len(index):,} files: {words}"


def _cache(settings: DataSettings, root: Path) -> Path | None:
    return root / settings.cache.expanduser() if settings.cache is not None else None


def _grouped(tasks: tuple[Task, ...], clusters: str, root: Path) -> tuple[Task, ...]:
    if not clusters:
        return tasks
    return regroup(tasks, load_grouping(root / clusters if clusters.endswith(".toml") else clusters), keep_others=True)


def _task_files(patterns: Iterable[str], root: Path) -> list[Path]:
    found: list[Path] = []
    problems = []
    for pattern in patterns:
        path = root / Path(pattern).expanduser()
        files = matching_files(path)
        if not files:
            problems.append(_no_such_file(path))
        found.extend(files)
    _raise_gathered(problems)
    return found


def _no_such_file(path: Path) -> FlantuneError:
    if is_folder(path):
        return TaskError("is a folder", where=str(path), hint=f'name its files: "{path.name}/*.toml"')
    return TaskError("no such task file", where=str(path), hint=near_file(path))


def _load_file(path: Path, mirror: Path | None) -> Sequence[Task]:
    if path.suffix == ".toml":
        return [load_task_file(path, mirror=mirror)]
    if path.suffix == ".py":
        tasks = _load_python(path)
        return tasks if mirror is None else [replace(task, source=task.source.with_mirror(mirror)) for task in tasks]
    raise TaskError("is neither a .toml nor a .py file", where=str(path))


def _load_python(path: Path) -> list[Task]:
    module = load_module_file(path)
    function = getattr(module, "tasks", None)
    if not callable(function):
        raise TaskError("has no function tasks()", where=str(path), hint="def tasks() -> list[Task]: …")
    try:
        tasks = list(function())
    except FlantuneError:
        raise
    except Exception as error:
        raise TaskError(f"tasks() fails: {describe_exception(error)}", where=str(path)) from error
    text = read_text(path, error=TaskError, what="Python file")
    return [_checked(task, path, text) for task in tasks]


def _checked(task: object, path: Path, text: str) -> Task:
    if not isinstance(task, Task):
        raise TaskError(f"tasks() gave {type(task).__name__}; expected Task", where=str(path))
    if not _NAME.fullmatch(task.name) or len(task.name) > MOST_NAME:
        raise TaskError(f'"{task.name}" is not a name; use letters, digits and _ . + -', where=str(path))
    if not task.templates or not task.splits or not task.clusters:
        raise TaskError(f"{task.name}: needs clusters, splits and templates", where=str(path))
    if isinstance(task.clusters, str):  # a text would be read as one cluster per letter
        hint = f'clusters=("{task.clusters}",)'
        raise TaskError(f"{task.name}: clusters is a text; expected a tuple", where=str(path), hint=hint)
    if not isinstance(task.source, Source):
        hint = "class MySource(flantune.types.Source): ..., with rows, fingerprint and describe"
        raise TaskError(f"{task.name}: {type(task.source).__name__} is not a source", where=str(path), hint=hint)
    # The file's text counts in addition to the adapter's fingerprint, since the adapter may use anything in it.
    own = task.adapter_fingerprint or fingerprint_of(task.adapter)
    fingerprint = sha256(f"{own}\n{text}".encode()).hexdigest()
    return replace(task, origin=task.origin or str(path), adapter_fingerprint=fingerprint)


def _check_unique(tasks: Iterable[Task]) -> None:
    seen: dict[str, Task] = {}
    for task in tasks:
        # Files are named after tasks, and on some disks "RTE" and "rte" are one file.
        other = seen.setdefault(task.name.casefold(), task)
        if other is not task:
            what = (
                f'two tasks are named "{task.name}"'
                if other.name == task.name
                else f'the tasks "{other.name}" and "{task.name}" differ in capital letters only'
            )
            raise TaskError(f"{what}: {other.origin} and {task.origin}", hint="rename one of them")


def _select(tasks: Sequence[Task], settings: DataSettings) -> tuple[Task, ...]:
    names = [task.name for task in tasks]
    unknown = [
        f'data.{key}: no task "{name}"; {did_you_mean(name, names) or f"there are {len(names)} others"}'
        for key, wanted in (("include", settings.include), ("exclude", settings.exclude))
        for name in wanted
        if not any(is_named(one, (name,)) for one in names)
    ]
    if unknown:
        raise ConfigError("\n".join(unknown), hint="`flantune tasks list` prints the names")
    chosen = [
        task
        for task in tasks
        if (not settings.include or is_named(task.name, settings.include)) and not is_named(task.name, settings.exclude)
    ]
    if not chosen:
        raise ConfigError("include and exclude leave no task", where="data")
    return tuple(chosen)


def _raise_gathered(errors: Sequence[FlantuneError]) -> None:
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise TaskError("\n".join(error.render() for error in errors))
