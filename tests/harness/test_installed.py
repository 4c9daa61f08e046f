"""The harness's own tasks by name: found in its package, which is not imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flantune.errors import TaskError
from flantune.harness.installed import task_file


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tasks = tmp_path / "lm_eval/tasks"
    for name, text in (
        ("ports/ports.yaml", "task: ports\n"),
        ("ports/_world.yaml", "group: world\ntask:\n  - ports\n  - rivers\n"),
        ("rivers/base.yaml", "task: rivers\noutput_type: multiple_choice\n"),
        ("old/rivers.yaml", "task: rivers_old\n"),
    ):
        (tasks / name).parent.mkdir(parents=True, exist_ok=True)
        (tasks / name).write_text(text)
    (tmp_path / "lm_eval/__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "lm_eval", raising=False)
    return tasks


@pytest.mark.parametrize(
    ("name", "path"), [("ports", "ports/ports.yaml"), ("world", "ports/_world.yaml"), ("rivers", "rivers/base.yaml")]
)
def test_a_name_is_the_file_that_defines_it(package: Path, name: str, path: str) -> None:
    assert task_file(Path(name)) == package / path


def test_a_file_is_a_file(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ports").write_text("task: mine\n")
    assert task_file(Path("ports")) == Path("ports")
    assert task_file(Path("gone.yaml")) == Path("gone.yaml")


def test_what_is_not_there_is_told(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TaskError, match='no task or group "river"') as caught:
        task_file(Path("river"))
    assert 'did you mean "rivers"' in caught.value.hint
    monkeypatch.setattr("flantune.harness.installed.find_spec", lambda _: None)
    with pytest.raises(TaskError, match='there is no file "ports"') as caught:
        task_file(Path("ports"))
    assert "pip install lm_eval" in caught.value.hint
