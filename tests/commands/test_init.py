"""``flantune init``: what it writes is right, runs, and never overwrites."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from flantune.cli.main import cli
from flantune.commands.init import papers, write_project
from flantune.errors import ConfigError
from flantune.settings.run_file import load_run_file
from flantune.tasks.load import load_tasks


def test_a_project_is_written_and_its_tasks_can_be_read(tmp_path: Path) -> None:
    written = write_project(tmp_path / "mine").files
    assert written[0] == tmp_path / "mine/run.toml"
    file = load_run_file(written[0])
    tasks = load_tasks(file.config.data, root=file.root)
    assert [task.name for task in tasks] == ["short_reviews", "ticket_routing"]
    assert all(task.licence and task.languages for task in tasks)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/routing.csv").write_text("mine")
    with pytest.raises(ConfigError, match="already exists"):
        write_project(tmp_path)
    assert not (tmp_path / "run.toml").exists()
    assert (tmp_path / "tasks/routing.csv").read_text() == "mine"


def test_a_model_of_ones_own_takes_the_place_of_the_tiny_one(tmp_path: Path) -> None:
    (path, *_) = write_project(tmp_path / "mine", model="org/small-model").files
    config = load_run_file(path).config
    assert (config.model.path, config.model.scratch) == ("org/small-model", None)
    assert config.training.learning_rate == 5e-5
    assert config.training.steps == 40 and config.evaluation.max_examples == 100


def test_a_file_is_named_so_that_it_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a "small".gguf').write_bytes(b"")
    (path, *_) = write_project(tmp_path / "mine", model='a "small".gguf').files
    assert load_run_file(path).config.model.path == str(tmp_path / 'a "small".gguf')


@pytest.mark.parametrize("paper", papers())
def test_a_papers_run_file_takes_another_model(tmp_path: Path, paper: str) -> None:
    (path,) = write_project(tmp_path, like=paper, model="org/small-model").files
    assert load_run_file(path).config.model.path == "org/small-model"


@pytest.mark.parametrize("paper", papers())
def test_a_papers_run_file_is_right_and_commented(tmp_path: Path, paper: str) -> None:
    (path,) = write_project(tmp_path, like=paper).files
    load_run_file(path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ") and text.count("#") > 10
    assert max(map(len, text.splitlines())) <= 120


def test_another_paper_is_an_error_that_names_one_like_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="flan-2021") as caught:
        write_project(tmp_path, like="flan-2021")
    assert "flan2021" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_comes_next(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["init", str(tmp_path / "mine")])
    assert result.exit_code == 0
    assert str(tmp_path / "mine/run.toml") in result.stdout
    assert f"next: flantune check {tmp_path / 'mine/run.toml'}" in result.stderr
