"""Small task files on small files of hand-written rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from flantune.tasks.taskfile import load_task_file
from flantune.types import Task

HEAD = """
name = "moods"
clusters = ["sentiment"]
kind = "classification"
"""
BODY = """
[fields]
text = "text"
[options]
values = ["sad", "glad"]
[answer]
column = "label"
[[templates]]
inputs = "How does it feel? {text}"
"""
REAL_DATA = Path(__file__).parents[2] / "../shared/data"


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    def write(rows: Iterable[Mapping[str, object]], name: str = "train.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture
def load_text(tmp_path: Path) -> Callable[..., Task]:
    def load(text: str, *, mirror: Path | None = None, name: str = "task.toml") -> Task:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return load_task_file(path, mirror=mirror)

    return load


@pytest.fixture
def moods(load_text: Callable[..., Task]) -> Callable[..., Task]:
    """A sentiment task over train.jsonl, with what differs from it."""

    def make(
        source: str = 'files = { train = "train.jsonl" }', splits: str = 'train = "train"', body: str = BODY
    ) -> Task:
        return load_text(f"{HEAD}[source]\n{source}\n[splits]\n{splits}\n{body}")

    return make


def mood_rows(count: int) -> list[dict[str, object]]:
    return [{"text": f"sentence {k}", "label": k % 2} for k in range(count)]
