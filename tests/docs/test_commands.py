"""Every command line that a page shows is one that the program takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from flantune.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
STARTS = r"^(?:\$ )?(?:\.venv/bin/|PYTHONPATH=\S+ )?flantune(?=\s|$)"


def commands_in(page: Path) -> list[tuple[str, bool]]:
    """Each command line, and whether it stands in a block of its own, where it must be complete."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:sh|bash)?\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    spans = [span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", prose)]
    return [(line, True) for line in lines if is_command(line)] + [(span, False) for span in spans if is_command(span)]


def is_command(line: str) -> bool:
    is_output = re.match(r"flantune \w+:", line)  # the title of what a command prints
    return bool(re.match(STARTS, line) and not is_output) or (line.startswith("torchrun ") and " -m flantune " in line)


def words_of(line: str) -> list[str]:
    line = re.sub(r"^torchrun .* -m flantune", "flantune", line)
    words = shlex.split(line.replace("…", "MORE"), comments=True)
    return words[1 : words.index("|") if "|" in words else None]


def check(line: str, *, is_complete: bool) -> None:
    """Follows a command line through groups to its command, and reads its options as click does, without running it."""
    command: click.Command = cli
    context = click.Context(cli, info_name="flantune")
    words = words_of(line)
    while isinstance(command, click.Group) and words and words[0] in command.list_commands(context):
        command = command.get_command(context, words[0]) or command
        context, words = click.Context(command, info_name=words[0], parent=context), words[1:]
    if not is_complete and words and words[-1] in valued_options(command):
        words = [*words, "VALUE"]  # prose that only names an option
    asks_for_a_list = any(one.is_eager and set(one.opts) & set(words) for one in command.params)
    options, positional, _ = command.make_parser(context).parse_args(words)
    assert command is not cli or options or not words, f"no such command: {words[:1]}"
    for parameter in command.params:
        given = options.get(parameter.name)
        for value in given if isinstance(given, list) else [given]:
            if isinstance(parameter.type, click.Choice) and isinstance(value, str) and value != "MORE":
                parameter.type.convert(value, parameter, context)
        is_missing = parameter.required and not (isinstance(given, str | list | tuple) and given)
        assert asks_for_a_list or not (is_complete and is_missing), f"{parameter.name} is missing"
    assert not positional, f"more words than it takes: {positional}"


def valued_options(command: click.Command) -> set[str]:
    options = [one for one in command.params if isinstance(one, click.Option) and not one.is_flag]
    return {name for one in options for name in one.opts}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_shown_is_understood(page: Path):
    wrong = []
    for line, is_complete in commands_in(page):
        try:
            check(line, is_complete=is_complete)
        except (click.ClickException, AssertionError, ValueError) as error:
            wrong.append(f"{line}: {getattr(error, 'message', error)}")
    assert wrong == []


@pytest.mark.parametrize(
    "line",
    ["flantune rn run.toml", "flantune run", "flantune run run.toml --sett a=b", "flantune splits r.toml --kind none"],
)
def test_a_wrong_command_line_would_be_found(line: str):
    with pytest.raises((click.ClickException, AssertionError)):
        check(line, is_complete=True)


def test_commands_are_found_in_the_pages():
    shown = {words_of(line)[0] for page in PAGES for line, _ in commands_in(page) if words_of(line)}
    missing = set(cli.list_commands(click.Context(cli))) - shown
    assert missing == set(), "no page shows these commands"
