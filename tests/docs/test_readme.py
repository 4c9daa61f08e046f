"""What the README shows works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from flantune.cli.main import cli
from flantune.settings.run_file import load_run_file
from flantune.tasks.load import load_tasks
from flantune.tasks.prepare import prepare_task

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
TASK, RUN_FILE = re.findall(r"^```toml\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_the_task_and_the_run_file_load(tmp_path: Path):
    for folder in ("tasks/reviews", "model"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "tasks/shop_reviews.toml").write_text(TASK, encoding="utf-8")
    for split in ("train", "test"):
        rows = "text,label\nIt broke on the first day.,0\nI would order it again.,positive\n"
        (tmp_path / f"tasks/reviews/{split}.csv").write_text(rows, encoding="utf-8")
    (tmp_path / "run.toml").write_text(RUN_FILE, encoding="utf-8")
    file = load_run_file(tmp_path / "run.toml")
    assert file.config.training.steps == 2000
    (task,) = load_tasks(file.config.data, root=tmp_path)
    prepared = prepare_task(task, cache=tmp_path / "cache", max_bad_share=0.0)
    assert [example.references for example in prepared.stores["test"]] == [("negative",), ("positive",)]


def test_it_shows_every_command_but_the_demos_own():
    shown = set(re.findall(r"^flantune (\w+)", README, flags=re.MULTILINE))
    assert set(cli.list_commands(None)) - shown - {"demo"} == set()


def test_it_opens_with_two_commands():
    first = re.search(r"^```sh\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    assert [line.split("#")[0].strip() for line in first[1].splitlines()] == ["make demo", "make test"]


@pytest.mark.slow
def test_its_python_makes_the_run_that_init_prepares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (code,) = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    real = (Path(__file__).parents[2] / "docs/real-model.md").read_text(encoding="utf-8")
    assert re.findall(r"^```python\n(.*?)^```", real, flags=re.MULTILINE | re.DOTALL) == [code]
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli, ["init", "mine"]).exit_code == 0
    run_file = tmp_path / "mine/run.toml"
    run_file.write_text(run_file.read_text(encoding="utf-8").replace("steps = 40", "steps = 2"), encoding="utf-8")
    exec(compile(code, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert "short_reviews {'base': " in said and "'tuned': " in said
