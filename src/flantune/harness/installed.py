"""Task files by name, from an installed lm-evaluation-harness; none of its code is run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from flantune.errors import TaskError, did_you_mean

_NAMED = re.compile(r"^(?:task|group): *[\"']?(?P<name>[\w.+-]+)[\"']? *$", flags=re.MULTILINE)


def task_file(named: Path) -> Path:
    """The given file; for a bare name, such as hellaswag, the installed harness's file of this task or group.

    Raises:
        TaskError: There is no such task, or the harness is not installed.
    """
    if len(named.parts) != 1 or named.suffix in (".yaml", ".yml") or named.exists():
        return named
    name, folder = str(named), _tasks_folder()
    if folder is None:
        hint = "name a YAML file; tasks go by their names after `pip install lm_eval`"
        raise TaskError(f'there is no file "{name}"', where="--harness", hint=hint)
    # Most files have their task's name; otherwise all of them are searched.
    for path in (*sorted(folder.rglob(f"{name}.yaml")), *sorted(folder.rglob("*.yaml"))):
        if name in _names(path):
            return path
    known = {one for path in folder.rglob("*.yaml") for one in _names(path)}
    hint = did_you_mean(name, known) or f"the names are those of `lm-eval ls tasks`, in {folder}"
    raise TaskError(f'the installed harness has no task or group "{name}"', where="--harness", hint=hint)


def _tasks_folder() -> Path | None:
    """The folder of the installed harness's task files; the package is located, not imported."""
    spec = find_spec("lm_eval")
    places = [Path(place) / "tasks" for place in (spec.submodule_search_locations or ())] if spec else []
    return next((place for place in places if place.is_dir()), None)


def _names(path: Path) -> Iterator[str]:
    """The tasks and groups that a file defines; those listed in a group are not defined by it."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return iter(())
    return (match["name"] for match in _NAMED.finditer(text))
