"""Writes the golden prompts anew: run `python tests/golden/regenerate.py`, then read the difference."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.prompts.render import render
from flantune.tasks.shipped_files import SHIPPED
from flantune.tasks.taskfile import load_task_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flantune.types import Example, Task, Template

GOLDEN = Path(__file__).with_name("shipped_prompts.txt")

_HEAD = """Every template of every shipped task, rendered with one of the task's shipped rows (the rows take turns).
Made by tests/golden/regenerate.py; a change here is a change of what models read.
"""


def golden_text() -> str:
    """The file's text: collections, tasks and templates in order of names, names and task files."""
    return "\n".join([_HEAD, *_prompts()])


def _prompts() -> Iterator[str]:
    for path in sorted(SHIPPED.glob("*/*.toml")):
        task = load_task_file(path)
        examples = _examples(path, task)
        for number, template in enumerate(task.templates):
            yield _shown(path.parent.name, task, examples[number % len(examples)], template)


def _examples(path: Path, task: Task) -> list[Example]:
    lines = (path.parent / "rows" / f"{path.stem}.jsonl").read_text(encoding="utf-8").split("\n")
    adapted = [task.adapter(json.loads(line)) for line in lines if line.strip()]
    return [replace(example, row=row) for row, example in enumerate(adapted) if example is not None]


def _shown(collection: str, task: Task, example: Example, template: Template) -> str:
    prompt = render(task, example, template, split="train")
    note = ", inverted" if template.is_inverted else ""
    head = f"==== {collection}/{task.name}/{template.name} (row {example.row}{note})"
    return f"{head}\n---- inputs\n{prompt.inputs}\n---- targets\n{prompt.targets}\n"


if __name__ == "__main__":
    GOLDEN.write_bytes(golden_text().encode("utf-8"))
