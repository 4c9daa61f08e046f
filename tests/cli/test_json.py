"""With ``--json`` a command's output is JSON and nothing else, whatever it says of its progress."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.end_to_end.small_world import write_small_world

from flantune.cli.main import cli


def said(*words: str | Path) -> Any:
    result = CliRunner().invoke(cli, [*map(str, words), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_world(tmp_path_factory.mktemp("world"), rows=20)


def test_trees_of_parts():
    names = said("mixture", "proportions")
    assert names and said("mixture", "proportions", names[0])


def test_tasks_that_were_read(world, tmp_path):
    found = said("tasks", "check", world)
    assert [one["task"] for one in found["tasks"]] == ["animal", "echo", "mood", "tone"]
    assert found["problems"] == 0 and all(one["lines"] for one in found["tasks"])
    out = tmp_path / "tasks.html"
    assert said("tasks", "browse", world, "--out", out) == {"page": str(out), "tasks": 4}
    assert out.is_file()


def test_nothing_that_could_be_fetched(world, tmp_path):
    assert said("fetch", world, "--mirror", tmp_path) == {"files": [], "by_hand": {}}
