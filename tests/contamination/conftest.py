from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from tests.no_source import NoSource

from flantune.tasks.example_store import PreparedTask
from flantune.types import Example, Task, Template

Rows = Sequence[Mapping[str, str] | str]


def make_examples(rows: Rows) -> list[Example]:
    """Rows of fields; "answer" is the reference; a bare text is a single field. Raw row numbers count by tens."""
    fields = [{"text": row} if isinstance(row, str) else dict(row) for row in rows]
    return [
        Example(row=10 * number, references=(one.pop("answer", "yes"),), fields=one)
        for number, one in enumerate(fields)
    ]


def make_prepared(name: str, *, train: Rows = (), test: Rows = ()) -> PreparedTask:
    stores = {role: make_examples(rows) for role, rows in (("train", train), ("test", test)) if len(rows)}
    task = Task(
        name=name,
        clusters=("c",),
        source_family=name,
        kind="generation",
        source=NoSource(),
        adapter=None,
        splits={role: role for role in stores},
        templates=(Template(name="t", inputs="{text}"),),
        metrics=("rouge1",),
    )
    return PreparedTask(task=task, stores=stores, reports={})


@pytest.fixture
def prepared() -> Callable[..., PreparedTask]:
    return make_prepared


@pytest.fixture
def sentence() -> Callable[..., str]:
    """``words("a", 5)`` → "a0 a1 a2 a3 a4": words that occur nowhere else."""
    return lambda stem, count, start=0: " ".join(f"{stem}{k}" for k in range(start, start + count))


@pytest.fixture
def renumbered() -> Callable[[PreparedTask, str], PreparedTask]:
    return lambda one, name: replace(one, task=replace(one.task, name=name))
