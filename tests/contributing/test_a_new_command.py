"""A command that is added as docs/contributing.md says: a module of cli, and a line in its list."""

from __future__ import annotations

import sys
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from flantune.cli import main, options
from flantune.errors import ConfigError


@click.command("settings-count", epilog="Example: flantune settings-count run.toml")
@options.run_file
def command(run_file) -> None:
    """Print how many settings RUN_FILE has."""
    from flantune.settings.run_file import flatten, load_run_file

    click.echo(len(dict(flatten(load_run_file(run_file).config))))


@pytest.fixture(autouse=True)
def _added(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("flantune.cli.settings_count")
    module.command = command
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(main._COMMANDS, "settings-count", ("Print how many settings a run file has.", "settings_count"))


def test_a_new_command_is_listed_and_does_its_work(tmp_path):
    (tmp_path / "run.toml").write_text("")
    assert "settings-count" in CliRunner().invoke(main.cli, ["--help"]).stdout
    result = CliRunner().invoke(main.cli, ["settings-count", str(tmp_path / "run.toml")])
    assert int(result.stdout) > 100


def test_a_misspelled_one_is_named(tmp_path):
    assert 'did you mean "settings-count"' in CliRunner().invoke(main.cli, ["setings-count"]).output


def test_its_errors_are_sentences(tmp_path):
    result = CliRunner().invoke(main.cli, ["settings-count", str(tmp_path / "absent.toml")])
    assert isinstance(result.exception, ConfigError)
