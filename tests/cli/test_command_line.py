"""The command line's manners."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from flantune.cli.main import cli


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
