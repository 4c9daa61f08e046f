"""A project that tunes on a user's own files: a task for each of them, and a run file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from flantune.commands.init_chat import chat_note, has_chat_template
from flantune.commands.init_groups import OwnTask, own_tasks, recognize_all
from flantune.commands.init_sizes import with_batches
from flantune.commands.init_task import SAID, task_text
from flantune.errors import ConfigError
from flantune.tasks.recognized import Recognized

_FILES = Path(__file__).parents[1] / "settings/run_files/own"
_CHATS = ("conversation", "instruction", "completion")


def data_project(paths: Sequence[Path], folder: Path, *, model: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """The files of such a project, path below its folder → text, the run file first; and notes on the data.

    Args:
        paths: The data.
        folder: The project's folder.
        model: The model to tune; if it is known to have a chat template, that is used.

    Raises:
        FlantuneError: A file cannot be read, or its rows have no known format.
    """
    found = recognize_all(paths)
    tasks = own_tasks(found)
    names = [task.name for task in tasks]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        hint = "rename one of them, or put its rows into the other"
        raise ConfigError(f'two files would be the task "{repeated}"', where="--data", hint=hint)
    run_file = (_FILES / "run.toml").read_text(encoding="utf-8")
    notes = [note for one in found for note in _notes(one, own_tasks=tasks)]
    notes += [note for task in tasks for note in task.notes]
    if model and any(one.form in _CHATS for one in found):
        has_template = has_chat_template(model)
        notes.append(chat_note(model, has_template=has_template))
        if has_template:
            run_file = re.sub(r"^chat = false  ", "chat = true   ", run_file, flags=re.MULTILINE)
    run_file, said = with_batches(run_file, tasks, is_tiny=not model)
    texts = {"run.toml": run_file}
    for task in tasks:
        files = {split: [_place(one.path, folder / "tasks") for one in ones] for split, ones in task.parts.items()}
        texts[f"tasks/{task.name}.toml"] = task_text(task.found, name=task.name, files=files, splits=task.splits)
    texts["README.md"] = (_FILES / "README.md").read_text(encoding="utf-8")
    return texts, (*notes, *said)


def _notes(found: Recognized, *, own_tasks: Sequence[OwnTask]) -> Iterator[str]:
    (task,) = (task for task in own_tasks if any(found in files for files in task.parts.values()))
    count = f"{found.rows:,} row{'s' * (found.rows != 1)}" if found.rows is not None else "more than 10,000 rows"
    yield f"{found.path}: {count}, {SAID[found.form]} ({', '.join(found.columns)})"
    is_divided = set(task.splits.values()) != set(task.parts)
    if found.is_sorted and is_divided:
        yield f"{found.path}: rows are sorted by label, so test rows lack some: shuffle the file first"
    if found.tool_rows:
        plural = "s have" if found.tool_rows > 1 else " has"
        yield f"{found.path}: {found.tool_rows:,} chat{plural} tools, whose calls cannot be taught: left out"
    if found.form == "labels" and all(label.lstrip("-").isdigit() for label in found.labels):
        yield f"{found.path}: labels are numbers: write in the task file what they mean"
    yield from (f"{found.path}: {note}" for note in found.notes)
    if set(task.splits) == {"train"}:
        yield f"{found.path}: so few rows all train, and nothing is measured; add rows, or divide them yourself"


def _place(path: Path, tasks: Path) -> str:
    """The file's path in its task file: relative if both are in one folder, otherwise absolute.

    Raises:
        ConfigError: The path is not UTF-8 text, which a task file is.
    """
    file, project = path.resolve(), tasks.resolve().parent.parent
    place = os.path.relpath(file, tasks.resolve()) if file.is_relative_to(project) else str(file)
    try:
        place.encode()
    except UnicodeEncodeError:
        what = "its name is not UTF-8 text, which a task file is"
        raise ConfigError(what, where=str(path), hint="rename it") from None
    return place
