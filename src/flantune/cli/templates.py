"""``flantune templates``: the linter, and every template on a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flantune.cli import options
from flantune.cli.terminal import echo, echo_json, paint

if TYPE_CHECKING:
    from flantune.prompts.language import Span
    from flantune.report.task_sheet import ShownTemplate


@click.group("templates")
def command() -> None:
    """Show templates, and check them for mistakes that spoil training."""


@command.command(
    short_help="Find mistakes in templates: slots, white space, leaks …",
    epilog="Example: flantune templates lint my_task.toml",
)
@options.run_file
@click.option("--rows", default=20, show_default=True, type=click.IntRange(0), help="Rows per task to render.")
@options.as_json("the findings")
def lint(run_file: Path, rows: int, as_json: bool) -> None:
    """Lint the templates of RUN_FILE's tasks, or of one task file: slots, white space, duplicates, leaks, options."""
    from flantune.cli.console import starting

    console = starting("read the tasks")
    from flantune.commands.task_check import finding_lines, lint_with_rows
    from flantune.report.numbers import plural
    from flantune.tasks.catalog import tasks_in

    tasks = tasks_in(run_file)
    linted = []
    for number, task in enumerate(tasks):
        console.step(number, len(tasks), f"{task.name}, {number + 1:,} of {len(tasks):,}")
        linted.append(lint_with_rows(task, rows=rows))
    findings = [finding for one in linted for finding in one.findings]
    if as_json:
        echo_json([asdict(finding) for finding in findings], indent=1)
    else:
        for line in (line for finding in findings for line in finding_lines(finding)):
            click.echo(line)
        templates = sum(len(task.templates) for task in tasks)
        click.echo(
            f"{plural(len(findings), 'finding')} in {plural(templates, 'template')} of {plural(len(tasks), 'task')}",
            err=True,
        )
        if without := sum(not one.has_rows for one in linted):
            click.echo(f"note: the data of {plural(without, 'task')} is missing: its rows were not checked", err=True)
    click.get_current_context().exit(1 if any(finding.severity == "error" for finding in findings) else 0)


@command.command(
    short_help="Every template of a task on one of its rows.", epilog="Example: flantune templates preview rte --row 1"
)
@click.argument("name")
@options.run_file_or_none
@click.option("--collection", multiple=True, metavar="NAME", help="A shipped collection [default: all]; repeatable.")
@click.option("--row", default=0, show_default=True, type=click.IntRange(0), help="Which of the shipped rows.")
@click.option(
    "--options",
    "layout",
    type=click.Choice(["listed", "lettered", "varied"]),
    default="listed",
    show_default=True,
    help="How options are shown.",
)
@click.option("--shuffle", type=click.IntRange(0), metavar="SEED", help="Shuffle the options with this seed.")
@options.as_json("each template")
def preview(
    name: str,
    run_file: Path | None,
    collection: tuple[str, ...],
    row: int,
    layout: str,
    shuffle: int | None,
    as_json: bool,
) -> None:
    """Render every template of the task NAME on one of its shipped rows.

    On a terminal, each slot's text has its own color.
    """
    from flantune.prompts.styles import Style
    from flantune.report.task_sheet import show_templates
    from flantune.tasks.catalog import find_task

    task = find_task(name, run_file=run_file, collection=collection)
    style = Style(options=layout, shuffle_options=shuffle is not None)  # type: ignore[arg-type]
    for shown in show_templates(task, row=row, style=style, options_key=shuffle or 0):
        if as_json:
            echo_json(shown.to_json())
        else:
            echo(*_pieces(shown))


_COLORS = ("cyan", "yellow", "magenta", "blue", "bright_red", "bright_cyan")


def _pieces(shown: ShownTemplate) -> Iterator[str]:
    slots = dict.fromkeys(span.slot for span in (*shown.prompt.inputs, *shown.prompt.targets) if span.slot)
    colors = {slot: "green" if slot == "answer" else _COLORS[place % 6] for place, slot in enumerate(slots)}
    yield f"── {shown.template.name} ({shown.facts.words()}) "
    for slot in slots:
        yield " "
        yield paint(f"{{{slot}}}", fg=colors[slot])
    yield "\n"
    yield from (_painted(span, colors) for span in shown.prompt.inputs)
    yield "\n"
    yield paint("→", dim=True)
    yield " "
    yield from (_painted(span, colors) for span in shown.prompt.targets)
    yield "\n"


def _painted(span: Span, colors: dict[str, str]) -> str:
    return paint(span.text, fg=colors[span.slot]) if span.slot else span.text
