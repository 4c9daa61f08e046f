"""How many of lm-evaluation-harness's own task files are read, with and without running their Python; why not the rest.

A file counts as accepted when everything that shows without its rows is in order: its settings, its functions load,
and at least one of its metrics and one of its filters is computed. Group files are not counted. Functions are loaded by
this environment: what it has not installed (lm_eval, sklearn, …) is counted by name.

Needs a checkout of the harness: ``HARNESS_FOLDER`` names it, or the first argument.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flantune.errors import TaskError
from flantune.harness.harness_file import HarnessTask, load_settings, read_task_file
from flantune.harness.read import check_task
from flantune.harness.task_code import Function, Limits, MissingModuleError, TaskCode

_PLACE = re.compile(r"^(?:line \d+(?: of [^,]+)?, )?(?P<key>[\w.+]+): (?P<what>.*)$")
_LIMITS = Limits(wall_s=120, cpu_s=120)


class _Once(TaskCode):
    """Loads every function once, however many files name it."""

    known: dict[tuple[str, str], TaskError | None] = {}  # noqa: RUF012 - one for all on purpose

    def begin(self, functions: Any) -> None:
        for function in dict.fromkeys(functions):
            key = (str(function.file or ""), function.name)
            if key not in self.known:
                self.known[key] = self._tried(function)
            if (error := self.known[key]) is not None:
                raise error

    def _tried(self, function: Function) -> TaskError | None:
        try:
            TaskCode.begin(self, [function])
        except TaskError as error:
            return error
        return None


def measure(*, folder: Path | None = None, small: bool = False) -> dict[str, Any] | None:
    """The table: accepted, and the reasons of refusals, both ways."""
    root = folder or Path(os.environ.get("HARNESS_FOLDER", ""))
    files = sorted((root / "lm_eval" / "tasks").rglob("*.yaml"))
    if not files:
        print("skipped: HARNESS_FOLDER does not point to a checkout of lm-evaluation-harness")
        return None
    tasks = [path for path in files if _is_task(path)][:: 50 if small else 1]
    return {
        "files": len(files),
        "task_files": len(tasks),
        "without_trust": _counted(tasks, limits=None),
        "with_trust": _counted(tasks, limits=_LIMITS),
    }


def _is_task(path: Path) -> bool:
    """Whether a file defines one task: no group, and nothing that only others include."""
    try:
        values = load_settings(path)
    except TaskError:
        return True
    return isinstance(values.get("task"), str)


def _counted(paths: list[Path], *, limits: Limits | None) -> dict[str, Any]:
    reasons: Counter[str] = Counter()
    modules: Counter[str] = Counter()
    accepted = 0
    for path in paths:
        try:
            for task in read_task_file(path, limits=limits):
                check_task(_once(task), shots=int(task.values.get("num_fewshot") or 0))
        except MissingModuleError as error:
            modules[error.module.split(".")[0]] += 1
            reasons["a module is not installed"] += 1
        except TaskError as error:
            reasons.update(set(_reasons(error)))
        else:
            accepted += 1
    return {
        "accepted": accepted,
        "share": round(accepted / len(paths), 4),
        "refused_for": dict(reasons.most_common()),
        "missing_modules": dict(modules.most_common()),
    }


def _once(task: HarnessTask) -> HarnessTask:
    from dataclasses import replace

    return task if task.code is None else replace(task, code=_Once(task.path, task.code.limits))


def _reasons(error: TaskError) -> list[str]:
    """The keys that a file is refused for, each with the beginning of why."""
    lines = error.message.splitlines()
    found = [match for line in lines if (match := _PLACE.match(line.strip()))]
    return [_short(match) for match in found] or [re.sub(r'"[^"]*"|[\w./-]+\.\w+', "…", lines[0])[:80]]


def _short(match: re.Match[str]) -> str:
    key, what = match["key"], match["what"]
    if "!function" in what:
        return f"{key}: a function"
    return f"{key}: {re.sub(r'none of .* is computed', 'none is computed', what)}"[:80]


def table(found: Mapping[str, Any]) -> str:
    """The same to read."""
    lines = [f"{found['task_files']:,} task files"]
    for name in ("without_trust", "with_trust"):
        one = found[name]
        lines.append(f"{name.replace('_', ' ')}: {one['accepted']:,} accepted ({100 * one['share']:.1f}%)")
        lines += [f"  {count:6,} {reason}" for reason, count in list(one["refused_for"].items())[:15]]
        lines += [f"  {count:6,} need {module}" for module, count in list(one["missing_modules"].items())[:10]]
    return "\n".join(lines)


if __name__ == "__main__":
    measured = measure(
        folder=Path(sys.argv[1]) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else None,
        small="--small" in sys.argv,
    )
    print("" if measured is None else table(measured), file=sys.stderr)
    print(json.dumps(measured, indent=1))
