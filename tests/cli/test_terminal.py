"""Data of strangers reaches a terminal as text: no sequence in it clears a screen, paints or renames anything."""

from __future__ import annotations

import ast
import io
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from flantune.cli import terminal
from flantune.cli.main import cli
from flantune.cli.terminal import tell_next

CLI = Path(terminal.__file__).parent
# What orders a terminal may be given in data: CSI and OSC of both kinds, a bell, overwriting, reversed writing.
ORDERS = ("\x1b[2J", "\x1b]0;owned\x07", "\x9b31m", "\x1b[8m", "\x08\x08", "\x7f", "\u202e", "\x1bP1$r\x1b\\")
OWN = re.compile(r"\x1b\[[0-9;]*m|\r\x1b\[2K|\r\n")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A task whose every text holds orders, with a row that is bad and whose reason quotes some."""
    orders = json.dumps("".join(ORDERS))[1:-1]
    (tmp_path / "evil.toml").write_text(
        f"""
name = "evil"
clusters = ["{orders}"]
kind = "classification"
description = "{orders}"
licence = "{orders}"
citation = "{orders}"
[source.files]
train = "rows.jsonl"
test = "rows.jsonl"
[splits]
train = "train[:3]"
test = "test[3:]"
[fields]
text = "text"
[options]
values = ["a{orders}", "b"]
[answer]
column = "label"
[[templates]]
inputs = "{orders} {{text}}"
""".replace("\\u007f", "\\u007F"),
        encoding="utf-8",
    )
    rows = [{"text": f"{''.join(ORDERS)}{row}", "label": row % 2} for row in range(6)]
    rows[1]["label"] = "".join(ORDERS)  # type: ignore[assignment]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "run.toml").write_text('[data]\ntasks = ["evil.toml"]\n')
    return tmp_path


COMMANDS = [
    ["tasks", "list", "run.toml"],
    ["tasks", "show", "evil", "run.toml"],
    ["tasks", "check", "run.toml"],
    ["templates", "preview", "evil", "run.toml"],
    ["templates", "lint", "evil.toml"],
    ["config", "show", "run.toml", "--set", 'name="\\u001b[2Jx"'],
    ["tasks", "show", "\x1b]0;owned\x07", "run.toml"],
    ["run", "no\x1b[2Jsuch.toml"],
]


def on_terminal(folder: Path, args: list[str]) -> str:
    """What a command writes to a terminal of its own."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "flantune", *args], cwd=folder, stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            block = os.read(ours, 65_536)
        except OSError:
            break
        if not block:
            break
        said += block
    process.wait()
    os.close(ours)
    return said.decode("utf-8")


def orders_in(text: str) -> list[str]:
    return re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", OWN.sub("", text))


@pytest.mark.skipif(sys.platform == "win32", reason="no pty")
@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
def test_a_terminal_gets_no_order_from_data(hostile, args):
    said = on_terminal(hostile, args)
    assert orders_in(said) == []
    # Colors are of flantune's own choosing: none hides text, none is the one that the data asks for.
    assert "\x1b[8m" not in said and "\x9b" not in said
    assert "\\u001b" in said and "Traceback" not in said


@pytest.mark.parametrize("args", COMMANDS[:6], ids=" ".join)
def test_a_pipe_gets_the_same_text_without_colors(hostile, args, monkeypatch):
    monkeypatch.chdir(hostile)
    result = CliRunner().invoke(cli, args)
    assert orders_in(result.output.replace("\n", "")) == [] and "\x1b" not in result.output
    assert "\\u001b[" in result.output


def test_json_says_the_same_characters(hostile, monkeypatch):
    monkeypatch.chdir(hostile)
    result = CliRunner().invoke(cli, ["tasks", "show", "evil", "run.toml", "--json"])
    assert orders_in(result.stdout.replace("\n", "")) == []
    assert json.loads(result.stdout)["description"] == "".join(ORDERS)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain äöü 北京 🙂\n\ttab", "plain äöü 北京 🙂\n\ttab"),
        ("a\r\nb", "a\r\nb"),
        ("50%\rdone", "50%\\u000ddone"),
        ("\x1b[31mred", "\\u001b[31mred"),
        ("half \ud83d", "half \\ud83d"),
        ("\u200fעברית", "\u200fעברית"),
    ],
)
def test_text_stays_and_orders_are_seen(text, seen):
    assert terminal.visible(text) == seen
    assert terminal.visible(seen) == seen


def test_a_stream_that_knows_few_letters_gets_them_escaped():
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    terminal._GuardedStream(narrow).write("né \ud800 ok")
    assert narrow.buffer.getvalue() == b"n\\xe9 \\ud800 ok"


def test_tables_show_orders_in_their_cells(capsys):
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column(Text("model\x1b[2J"))
    table.add_row(Text("\x9b31m\x07x"))
    terminal.show(table)
    said = capsys.readouterr().out
    assert orders_in(said) == [] and "\\u001b[2J" in said and "\\u009b31m" in said


def rich_consoles(tree: ast.Module) -> set[str]:
    """What a file calls the console of ``rich``."""
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return {
        one.asname or one.name
        for node in imports
        if node.module == "rich.console"
        for one in node.names
        if one.name == "Console"
    }


def test_nothing_else_of_the_command_line_writes_or_paints():
    """All output passes by the guarded streams, or by the four functions that go round them."""
    wrong = []
    for path in sorted(CLI.glob("*.py")):
        if path.name == "terminal.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        consoles = rich_consoles(tree)
        for node in ast.walk(tree):
            name = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            wrong += [f"{path.name}: {name}"] if name in {"click.style", "click.secho", "sys.stdout.write"} else []
            made = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            wrong += [f"{path.name}: {made}"] if made in consoles else []
    assert wrong == []


def test_the_next_command_can_be_pasted_into_a_shell(capsys):
    command = ["flantune", "check", "my project/über/run.toml", "--set", "name=it's"]
    tell_next(*command)
    assert shlex.split(capsys.readouterr().err.removeprefix("next: ")) == command


def test_every_next_command_is_told_by_that_one_function():
    told = [
        path.name for path in CLI.glob("*.py") if re.search(r"next: +(flantune|llama-cli) ", path.read_text("utf-8"))
    ]
    assert told == []
