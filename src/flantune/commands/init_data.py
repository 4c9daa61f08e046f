"""A project that tunes on a user's own files: a task for each of them, and a run file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.errors import ConfigError
from flantune.system.files import slug
from flantune.tasks.recognize import ROWS, Recognized, recognize

if TYPE_CHECKING:
    from flantune.tasks.recognize import Form

_RUN_FILE = Path(__file__).parents[1] / "settings/run_files/own/run.toml"
_CHATS = ("conversation", "instruction", "completion")

_CLUSTERS: Mapping[str, str] = {
    form: f'clusters = ["{name}"]'.ljust(38)
    for form, name in (
        ("conversation", "conversation"),
        ("instruction", "instructions"),
        ("completion", "instructions"),
        ("labels", "classification"),
    )
}
_SAID: Mapping[Form, str] = {
    "conversation": "conversations: every reply of the assistant is learned",
    "instruction": "instructions with inputs and outputs",
    "completion": "prompts with their answers",
    "labels": "texts with labels",
}


def data_project(paths: Sequence[Path], folder: Path, *, model: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """The files of such a project, path below its folder → text, the run file first; and notes on the data.

    Args:
        paths: The data.
        folder: The project's folder.
        model: The model to tune; if its folder has a chat template, it is used.

    Raises:
        FlantuneError: A file cannot be read, or its rows have no known format.
    """
    found = [recognize(path) for path in paths]
    names = [slug(path.name.split(".")[0]).replace("-", "_") for path in paths]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        hint = "rename one of them, or put its rows into the other"
        raise ConfigError(f'two files would be the task "{repeated}"', where="--data", hint=hint)
    run_file = _RUN_FILE.read_text(encoding="utf-8")
    if has_chat_template(model) and any(one.form in _CHATS for one in found):
        run_file = re.sub(r"^chat = false  ", "chat = true   ", run_file, flags=re.MULTILINE)
    tasks = {
        f"tasks/{name}.toml": task_text(one, name=name, place=_place(one.path, folder / "tasks"))
        for one, name in zip(found, names, strict=True)
    }
    return {"run.toml": run_file, **tasks}, tuple(note for one in found for note in _notes(one))


def has_chat_template(model: str) -> bool:
    """Whether a folder on this machine has a chat template; unknown for models elsewhere."""
    folder = Path(model)
    if not model or not folder.is_dir():
        return False
    config = folder / "tokenizer_config.json"
    return (folder / "chat_template.jinja").is_file() or (
        config.is_file() and '"chat_template"' in config.read_text(encoding="utf-8", errors="replace")
    )


def task_text(found: Recognized, *, name: str, place: str) -> str:
    """The task file for recognized data."""
    kind = {"conversation": "", "labels": 'kind = "classification"\n'}.get(
        found.form, 'kind = "generation"\nmetrics = ["rougeL", "exact_match"]\n'
    )
    splits = "\n".join(f"{role} = {_quoted(text)}" for role, text in found.splits.items())
    return (
        f"# {_SAID[found.form].capitalize()}. Every row is checked by: flantune tasks check run.toml\n\n"
        f"name = {_quoted(name)}\n"
        f"{_CLUSTERS[found.form]}# the kind of task: tasks of one kind are held out together\n"
        f'{kind}licence = ""{" " * 26}# of the rows; the report and every exported row show it\n'
        'languages = []                        # ["English"], say\n\n'
        f"[source]\nfiles = {{ {ROWS} = {_quoted(place)} }}\n\n"
        "# Which rows train, which are looked at while tuning (dev), which measure; slices must not overlap.\n"
        f"[splits]\n{splits}\n\n{_BODIES[found.form](found)}"
    )


def _conversation(found: Recognized) -> str:
    column = _quoted(found.columns[0]) if len(found.columns) == 1 else json.dumps(list(found.columns))
    return (
        f"[conversation]\ncolumn = {column}\n"
        'trains_on = "every"                   # every reply is an example; "last": that alone; "drawn": one a visit\n'
        + ('tool_rows = "drop"                    # tool calls cannot be taught\n' if found.tool_rows else "")
    )


def _instruction(found: Recognized) -> str:
    first, *context, last = map(_slot, found.columns)
    asked = [f"{{{{ {first} }}}}", *(f"{{% if {one} %}}\n\n{{{{ {one} }}}}{{% endif %}}" for one in context)]
    return _body(found.columns, answer=found.columns[-1]) + (
        "# Jinja, since an input may be empty: what is asked, three bars, what is answered.\n"
        f'[[templates]]\nlanguage = "promptsource"\ninputs = """\n{"".join(asked)} ||| {{{{ {last} }}}}"""\n'
    )


def _completion(found: Recognized) -> str:
    return _body(found.columns[:1], answer=found.columns[-1]) + (
        "# A second [[templates]] with other words makes the model less bound to these.\n"
        f'[[templates]]\ninputs = "{{{_slot(found.columns[0])}}}"\n'
    )


def _labels(found: Recognized) -> str:
    text, label = found.columns
    return (
        f"[fields]\ntext = {_quoted(text)}\n\n"
        f"[options]\nvalues = {json.dumps(list(found.labels), ensure_ascii=False)}\n\n"
        f'[answer]\ncolumn = {_quoted(label)}\nread = "text"\n'
        '# map = { "0" = "bad", "1" = "good" }  # where labels are numbers: the options are these words then\n\n'
        "# Ways to ask: say what the labels are about. Several ways make the model less bound to one.\n"
        '[[templates]]\ninputs = """\n{text}\n\nWhich of these is it?\n{options}"""\n\n'
        '[[templates]]\ninputs = """\nSay which of these the text belongs to.\n{options}\n\n{text}"""\n'
    )


_BODIES = {"conversation": _conversation, "instruction": _instruction, "completion": _completion, "labels": _labels}


def _body(columns: Sequence[str], *, answer: str) -> str:
    fields = "\n".join(f"{_slot(name)} = {_quoted(name)}" for name in columns)
    return f"[fields]\n{fields}\n\n[answer]\ncolumn = {_quoted(answer)}\n\n"


def _notes(found: Recognized) -> list[str]:
    count = "more than 10,000 rows" if found.rows is None else f"{found.rows:,} row{'s' * (found.rows != 1)}"
    notes = [f"{found.path}: {count}, {_SAID[found.form]} ({', '.join(found.columns)})"]
    if found.is_sorted:
        notes.append(f"{found.path}: rows are sorted by label, so test rows lack some: shuffle the file first")
    if found.tool_rows:
        plural = "s have" if found.tool_rows > 1 else " has"
        notes.append(f"{found.path}: {found.tool_rows:,} chat{plural} tools, whose calls cannot be taught: left out")
    if found.form == "labels" and all(label.lstrip("-").isdigit() for label in found.labels):
        notes.append(f"{found.path}: labels are numbers: write in the task file what they mean")
    if set(found.splits) == {"train"}:
        notes.append(f"{found.path}: so few rows all train, and nothing is measured; add rows, or divide them yourself")
    return notes


def _place(path: Path, tasks: Path) -> str:
    """The file's path in its task file: relative if both are in one folder, otherwise absolute."""
    file, project = path.resolve(), tasks.resolve().parent.parent
    return os.path.relpath(file, tasks.resolve()) if file.is_relative_to(project) else str(file)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _slot(column: str) -> str:
    """A name that is valid as a slot.

    >>> _slot("user prompt"), _slot("2nd")
    ('user_prompt', '_2nd')
    """
    plain = re.sub(r"\W", "_", column, flags=re.ASCII)
    return f"_{plain}" if plain[:1].isdigit() else plain
