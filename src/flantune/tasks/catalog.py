"""Tasks without their data: the contents of collections, where a task is defined, and the rows shipped with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.errors import ConfigError, SourceError, did_you_mean
from flantune.prompts.compiled import slots_of
from flantune.prompts.template_facts import options_shown, template_facts
from flantune.settings.config import DataSettings
from flantune.settings.run_file import load_run_file
from flantune.settings.toml_file import read_toml
from flantune.tasks.examples import adapt_row, first_examples
from flantune.tasks.licences import licence_use
from flantune.tasks.load import load_tasks
from flantune.tasks.rows import BadRow
from flantune.tasks.shipped_files import SHIPPED, collections
from flantune.tasks.taskfile import is_task_file, load_task_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flantune.types import Example, Row, Task


def tasks_of(run_file: Path | None, *, collection: tuple[str, ...] = ()) -> tuple[Task, ...]:
    """The tasks of a run file, or of shipped collections.

    Raises:
        ConfigError: Neither is given, or both are.
        FlantuneError: The run file or a task is wrong.
    """
    if (run_file is None) == (not collection):
        hint = f"name a run file, or --collection with one of: {', '.join(collections())}"
        raise ConfigError("name a run file or a collection, one of the two", hint=hint)
    if run_file is None:
        return load_tasks(DataSettings(collection=collection), root=Path())
    loaded = load_run_file(run_file)
    return load_tasks(loaded.config.data, root=loaded.root)


def tasks_in(path: Path) -> tuple[Task, ...]:
    """The tasks of a run file, or the task of a task file (recognized by its templates).

    Raises:
        FlantuneError: The file or a task is wrong.
    """
    _, tree = read_toml(path, error=ConfigError, what="run file or task file")
    return (load_task_file(path),) if is_task_file(tree) else tasks_of(path)


def find_tasks(*names: str | Path) -> tuple[Task, ...]:
    """Tasks from shipped collections and task files, in the order of the names.

    >>> len(find_tasks("flan2021"))
    70

    Args:
        names: Shipped collections; task files, TOML or Python; or globs of them.

    Raises:
        FlantuneError: There is no such collection or file, or a task is wrong.
    """
    places = [str(name) for name in names]
    files = tuple(place for place in places if place.endswith((".toml", ".py")))
    shipped = tuple(place for place in places if place not in files)
    return load_tasks(DataSettings(tasks=files, collection=shipped), root=Path.cwd())


def find_task(name: str, *, run_file: Path | None = None, collection: tuple[str, ...] = ()) -> Task:
    """One task by name: of a run file, or of shipped collections (all of them when nothing is named).

    Raises:
        ConfigError: There is no such task; names one like it.
        FlantuneError: The run file or the task is wrong.
    """
    chosen = collection or (collections() if run_file is None else ())
    for one in chosen if run_file is None else ():
        file = SHIPPED / one / f"{name}.toml"
        if file.is_file():
            return load_task_file(file)  # files are named after their tasks, so the others need not be read
    tasks = tasks_of(run_file, collection=chosen)
    found = next((task for task in tasks if task.name == name), None)
    if found is None:
        names = [task.name for task in tasks]
        place = str(run_file) if run_file else f"the collections {', '.join(chosen)}"
        raise ConfigError(
            f'no task "{name}" in {place}', hint=did_you_mean(name, names) or f"there are {len(names)} others"
        )
    return found


def summarize_task(task: Task) -> dict[str, Any]:
    """A summary of a task in JSON values."""
    return {
        "name": task.name,
        "clusters": list(task.clusters),
        "family": task.source_family,
        "kind": task.kind,
        "metrics": list(task.metrics),
        "templates": len(task.templates),
        "inverted": sum(template.is_inverted for template in task.templates),
        "options_shown": options_shown(task),
        "licence": task.licence,
        "licence_use": licence_use(task.licence),
        "languages": list(task.languages),
        "hub": hub_id(task),
        "splits": dict(task.splits),
        "template_facts": [{"name": one.name, **template_facts(task, one).to_json()} for one in task.templates],
    }


def hub_id(task: Task) -> str:
    """The task's dataset on the Hugging Face hub with its configuration, or the empty string."""
    return str(task.source.hub or "")


def example_rows(task: Task, *, count: int = 3) -> tuple[Example, ...]:
    """A few examples without network access: the rows shipped with the task, or the first of its own files.

    Raises:
        SourceError: The rows exist but cannot be read.
    """
    rows = rows_beside(task)
    if rows is not None:
        return _adapted(task, rows)[:count]
    if task.source.hub is not None and not task.source.files_here():
        return ()
    return first_examples(task, count=count)


def slots_of_task(task: Task, examples: tuple[Example, ...] = ()) -> tuple[str, ...]:
    """The slots that a template can use: the fields of the examples, and those that its templates already use."""
    fields = [name for example in examples for name in example.fields]
    named = [name for one in task.templates for name in slots_of(one)]
    return tuple(dict.fromkeys([*fields, *named]))


def rows_beside(task: Task) -> list[Row] | None:
    """The hand-written rows shipped as ``rows/<task>.jsonl`` beside a task's file, in its source's columns, if any.

    Raises:
        SourceError: The file is broken.
    """
    path = Path(task.origin).parent / "rows" / f"{task.name}.jsonl"
    if not task.origin or not path.is_file():
        return None
    try:
        # Split at line feeds only: JSON text may contain other line separators.
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot be read: {error}", where=str(path), hint="one JSON object a line") from None


def _adapted(task: Task, rows: Sequence[Row]) -> tuple[Example, ...]:
    examples = []
    for number, row in enumerate(rows):
        try:
            example = adapt_row(task, row)
        except BadRow as error:
            where = f"shipped rows of {task.name}, row {number}"
            raise SourceError(f"{error.reason}: {error.detail}", where=where) from error
        if example is not None:
            examples.append(replace(example, row=number))
    return tuple(examples)
