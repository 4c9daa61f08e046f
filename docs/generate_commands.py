"""Writes docs/commands.md from the commands' own help: run `python docs/generate_commands.py`."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from flantune.cli.main import cli

_ONE_LINE = 10_000
_HEAD = """# Commands

Every command with its arguments and options. This page is generated from each command's `--help`.
Results go to standard output, everything else to standard error; with `--json` the output is JSON and nothing else.
A working command reports its progress at least every five seconds, on a terminal in one line that is overwritten. In a
file, it does so every half minute after the first hour.
Exit codes: 0 done, 1 finished and found problems, 2 wrong usage or a mistake in a file, 130 interrupted. Repeat an
interrupted command to resume it. [Shell completion](install.md#shell-completion) works for commands and options.
"""


def commands_page() -> str:
    """The page's text."""
    context = click.Context(cli, info_name="flantune")
    parts = [part for name in cli.list_commands(context) for part in _command(f"flantune {name}", _get(cli, name))]
    return "\n\n".join([_HEAD.rstrip("\n"), *parts]) + "\n"


def _get(group: click.Group, name: str) -> click.Command:
    found = group.get_command(click.Context(group), name)
    if found is None:
        raise KeyError(name)
    return found


def _command(name: str, command: click.Command) -> Iterator[str]:
    depth = name.count(" ") + 1
    yield f"{'#' * depth} {name}"
    yield _prose(command.help or "")
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield from _usage(name, command)
    if isinstance(command, click.Group):
        for each in command.list_commands(click.Context(command)):
            yield from _command(f"{name} {each}", _get(command, each))


def _usage(name: str, command: click.Command) -> Iterator[str]:
    arguments = " ".join(_metavar(one) for one in command.params if isinstance(one, click.Argument))
    yield f"```text\n{name}{' [OPTIONS]' if _options(command) else ''}{' ' + arguments if arguments else ''}\n```"
    if rows := [_row(option) for option in _options(command)]:
        yield "\n".join(["| option | meaning |", "|---|---|", *rows])
    if command.epilog:
        yield _prose(command.epilog)


def _options(command: click.Command) -> list[click.Option]:
    return [one for one in command.params if isinstance(one, click.Option) and not one.hidden]


def _metavar(argument: click.Argument) -> str:
    return argument.make_metavar(click.Context(click.Command("flantune")))


def _row(option: click.Option) -> str:
    record = option.get_help_record(click.Context(click.Command("flantune")))
    if record is None:
        raise ValueError(option.name)
    names, meaning = record
    return f"| `{names.replace('|', '/')}` | {_prose(meaning, _ONE_LINE).replace('|', '/')} |"


def _prose(text: str, width: int = 120) -> str:
    """Help as Markdown paragraphs."""
    paragraphs = re.split(r"\n\s*\n", text.replace("\b\n", "").strip())
    joined = "\n\n".join(textwrap.fill(" ".join(paragraph.split()), width) for paragraph in paragraphs)
    return re.sub(r"<(?=\w)", r"\\<", joined)


if __name__ == "__main__":
    Path(__file__).with_name("commands.md").write_text(commands_page(), encoding="utf-8")
