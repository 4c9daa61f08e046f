"""The command line's manners."""

from __future__ import annotations

import errno
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest
from click.testing import CliRunner
from tests.processes import run_command

from flantune.cli import options
from flantune.cli.main import cli, main
from flantune.settings.config import EvaluationSettings


def flantune(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    program = "from flantune.cli.main import main; main()"
    return subprocess.run([sys.executable, "-c", program, *args], capture_output=True, text=True, cwd=cwd, check=False)


def test_help_imports_nothing_heavy():
    program = (
        "import sys; sys.argv = ['flantune', '--help']\n"
        "from flantune.cli.main import cli\n"
        "try: cli(standalone_mode=False)\n"
        "finally: print([m for m in ('torch', 'transformers', 'numpy', 'pydantic', 'pyarrow') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.strip().endswith("[]")


def test_every_command_has_help():
    runner = CliRunner()
    for name in cli.list_commands(None):
        result = runner.invoke(cli, [name, "--help"])
        assert result.exit_code == 0, result.output
        assert "Usage:" in result.output


def test_command_help_imports_no_model_library():
    program = (
        "import sys\n"
        "from flantune.cli.main import cli\n"
        "for name in cli.list_commands(None):\n"
        "    try: cli([name, '--help'], standalone_mode=False)\n"
        "    except SystemExit: pass\n"
        "print([m for m in ('torch', 'transformers', 'datasets') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.strip().endswith("[]")


def test_a_misspelled_command_is_suggested():
    result = flantune("dmo")
    assert result.returncode == 2
    assert 'did you mean "demo"?' in result.stderr


def test_a_users_mistake_is_no_traceback(tmp_path):
    result = flantune("run", "nowhere.toml", cwd=tmp_path)
    assert result.returncode == 2
    assert "nowhere.toml: no such run file" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_config_show_json_owns_stdout(tmp_path):
    (tmp_path / "run.toml").write_text("seed = 7\n", encoding="utf-8")
    result = flantune("config", "show", "run.toml", "--json", cwd=tmp_path)
    rows = json.loads(result.stdout)
    assert rows["seed"] == {"value": 7, "origin": "run.toml:1", "help": rows["seed"]["help"]}
    assert rows["training.steps"]["origin"] == "default"


def test_a_task_file_is_not_taken_for_a_run_file(tmp_path):
    (tmp_path / "task.toml").write_text('name = "a"\n[[templates]]\nname = "b"\n', encoding="utf-8")
    result = flantune("run", "task.toml", cwd=tmp_path)
    assert result.returncode == 2
    assert "this is a task file" in result.stderr and '[data] tasks = ["task.toml"]' in result.stderr


def test_a_cluster_that_is_not_there_is_named_before_any_row_is_read(tmp_path):
    run_file = '[data]\ncollection = "flan2021"\n[holdout]\nfolds = [["sentimnt"]]\n[model]\npath = "m"\n'
    (tmp_path / "run.toml").write_text(run_file, encoding="utf-8")
    code, _, told = run_command(tmp_path / "told", "run", "run.toml", cwd=tmp_path)
    assert code == 2
    assert 'did you mean "sentiment"?' in told
    assert list((tmp_path / "runs/run/data").glob("*")) == []


def test_a_full_disk_is_no_traceback(monkeypatch, capsys, tmp_path):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "rows.jsonl"))

    monkeypatch.setattr(cli, "main", full)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    said = capsys.readouterr().err
    assert "rows.jsonl: No space left on device" in said and "hint: free some space" in said


@pytest.mark.parametrize("out", ["x" * 300, "run.toml/deeper", "loop/deeper"])
def test_a_folder_that_no_disk_can_have_is_no_traceback(monkeypatch, capsys, tmp_path, out):
    (tmp_path / "run.toml").write_text('[holdout]\nfolds = [["a"]]\n')
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["flantune", "run", "run.toml", "--out", out])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "cannot be written" in said and "--out" in said


def test_pretraining_says_what_is_wrong_like_every_command(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.toml").write_text('[pretraining]\nfiles = ["nowhere.txt"]\n[model.scratch]\n')
    monkeypatch.setattr(sys, "argv", ["flantune", "pretrain", "base.toml", "--out", "base"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "nowhere.txt" in said and "hint: " in said


def test_choices_are_those_of_the_settings():
    fields = EvaluationSettings.model_fields
    assert get_args(fields["normalization"].annotation) == options.NORMALIZATIONS
    assert get_args(fields["protocol"].annotation) == options.PROTOCOLS


def test_no_colors_where_none_are_wanted(monkeypatch):
    plain = CliRunner().invoke(cli, ["config", "show"]).output
    monkeypatch.setenv("FORCE_COLOR", "1")
    colored = CliRunner().invoke(cli, ["config", "show"]).output
    monkeypatch.setenv("NO_COLOR", "1")
    assert CliRunner().invoke(cli, ["config", "show"]).output == plain != colored


def commands(group: click.Group, *names: str) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        yield " ".join((*names, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)


EVERY = dict(commands(cli))


@pytest.mark.parametrize("name", EVERY)
def test_every_option_says_what_it_does(name):
    options = [one for one in EVERY[name].params if isinstance(one, click.Option)]
    assert [one.opts for one in options if not one.help] == []


# A conversation reports nothing.
@pytest.mark.parametrize(
    "name", [name for name, one in EVERY.items() if (type(one) is click.Command or name == "demo") and name != "chat"]
)
def test_every_command_says_what_it_did_as_json(name):
    assert any("--json" in one.opts for one in EVERY[name].params)


@pytest.mark.parametrize("name", [name for name, one in EVERY.items() if type(one) is click.Command])
def test_every_command_shows_an_example_that_it_takes(name):
    example = EVERY[name].epilog.removeprefix("Example: ")
    assert example.startswith(f"flantune {name}")
    words = shlex.split(example)[1 + len(name.split()) :]
    EVERY[name].make_parser(click.Context(EVERY[name])).parse_args(words)
