"""``flantune mixture``: how much of each task a run draws, and the named trees of parts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flantune.cli import options
from flantune.cli.terminal import echo_json

if TYPE_CHECKING:
    from flantune.mixture.sheet import MixtureSheet
    from flantune.mixture.tree import MixedPart, MixedTask

_FEW_TASKS = 100
_MOST_LICENCES = 15


@click.group("mixture")
def command() -> None:
    """Show the mixture of a run file: how much of each part and task, and how often rows repeat."""


@command.command(
    short_help="The tree of parts with shares, rows, epochs, licences and warnings.",
    epilog="Example: flantune mixture show run.toml --draws 2e6",
)
@options.run_file
@options.overrides
@options.fold
@options.run_folder
@click.option(
    "--draws", type=options.COUNT, help="Number of draws to count epochs for [default: the planned number, or 1000000]."
)
@click.option("--tasks/--no-tasks", "with_tasks", default=None, help="List tasks too [default: up to 100 of them].")
@click.option("--page", type=options.FILE, help="Also write it as an HTML page.")
@options.as_json("the mixture")
def show(
    run_file: Path,
    overrides: tuple[str, ...],
    fold: int,
    run_folder: Path | None,
    draws: int | None,
    with_tasks: bool | None,
    page: Path | None,
    as_json: bool,
) -> None:
    """Show RUN_FILE's mixture: shares of parts and tasks, rows, epochs, licences, and warnings.

    Reads the tasks' rows and caches them for the run. Nothing is trained.
    """
    from flantune.cli.console import starting
    from flantune.settings.run_file import load_run_file

    loaded = load_run_file(run_file, overrides=overrides)  # before slow imports: mistakes are reported at once
    console = starting()
    from flantune.commands.mixture import show_mixture

    cache = options.prepared_data(run_folder, run_file)
    console.stage("read the tasks")
    sheet = show_mixture(loaded, cache=cache, fold=fold, draws=draws or 0, on_task=console.step)
    if page is not None:
        from flantune.report.mixture_page import write_mixture_page

        write_mixture_page(page, sheet, title=loaded.config.name)
        click.echo(f"wrote {page}", err=True)
    if as_json:
        echo_json(sheet.to_json(), indent=1)
        return
    for line in sheet_lines(sheet, with_tasks=len(sheet.tasks) <= _FEW_TASKS if with_tasks is None else with_tasks):
        click.echo(line)


@command.command(
    short_help="A named tree of parts, to paste into a run file.",
    epilog="Example: flantune mixture proportions flan2022_released >> run.toml",
)
@click.argument("name", required=False)
@options.as_json("the names, or the tree")
def proportions(name: str | None, as_json: bool) -> None:
    """Print the tree of parts that `mixture.proportions = NAME` stands for; without NAME, the names."""
    import tomllib
    from typing import get_args

    from flantune.errors import ConfigError, did_you_mean
    from flantune.mixture.proportions import proportions_text
    from flantune.settings.mixture_settings import ProportionsName

    names = [one for one in get_args(ProportionsName) if one]
    if name is None:
        click.echo(json.dumps(names) if as_json else "\n".join(names))
        return
    if name not in names:
        hint = did_you_mean(name, names) or f"the names are: {', '.join(names)}"
        raise ConfigError(f'no tree is named "{name}"', hint=hint)
    text = proportions_text(name)
    if as_json:
        echo_json(tomllib.loads(text))
        return
    click.echo(text, nl=False)


@command.command(
    short_help="The tasks of Flan 2022 by name: kind, licence, and where the data is.",
    epilog="Example: flantune mixture collection --submixture t0_sf",
)
@click.option(
    "--submixture", type=click.Choice(("muffin", "t0_sf", "niv2", "cot")), help="Only tasks of this sub-mixture."
)
@options.as_json("the tasks")
def collection(submixture: str | None, as_json: bool) -> None:
    """List the tasks that Flan 2022 counts, with sub-mixture, kind, languages, licence and how to get the data.

    --json also has each task's groups of kin within the whole list, and the benchmarks that it would give away.
    """
    from flantune.mixture.listed import describe_listed
    from flantune.tasks.listed_tasks import COUNTED, flan2022_tasks

    tasks = [task for task in flan2022_tasks() if submixture in (None, task.submixture)]
    if as_json:
        echo_json(describe_listed(tasks), indent=1)
        return
    for task in tasks:
        how = task.how or "no way is known"
        click.echo(f"{task.submixture:7} {task.name:60} {task.category:36} {task.licence or '–':24} {how}")
    counted = sum(count for name, count in COUNTED.items() if submixture in (None, name))
    click.echo(f"{len(tasks):,} tasks; the paper counts {counted:,}", err=True)


def sheet_lines(sheet: MixtureSheet, *, with_tasks: bool) -> Iterator[str]:
    """The sheet as text."""
    tasks = sheet.tasks
    held = f", {', '.join(sheet.held_out)} held out" if sheet.held_out else ""
    yield f"{len(tasks):,} tasks{held}; epochs are those of {sheet.draws:,} draws"
    for part in sheet.tree.parts:
        yield from _part_lines(part, depth=0)
    if with_tasks:
        yield ""
        width = max(len(task.name) for task in tasks)
        yield from (_task_line(task, width=width) for task in tasks)
    yield ""
    uses = ", ".join(f"{use} {share:.1%}" for use, share in sheet.uses.items())
    yield f"licences, by share of the draws; judging by their texts, use is {uses}"
    yield from (f"{share:8.2%}  {licence}" for licence, share in list(sheet.licences.items())[:_MOST_LICENCES])
    if rest := list(sheet.licences.values())[_MOST_LICENCES:]:
        yield f"{sum(rest):8.2%}  {len(rest)} others (--json has them)"
    if sheet.excluded:
        yield ""
        yield f"left out of training ({len(sheet.excluded):,})"
        yield from (f"  {task}: {reason}" for task, reason in sheet.excluded.items())
    yield from (f"warning: {warning}" for warning in sheet.warnings)


def _part_lines(part: MixedPart, *, depth: int) -> Iterator[str]:
    name = "  " * depth + part.path.rpartition(".")[2]
    count = f"{len(part.tasks):,} task{'' if len(part.tasks) == 1 else 's'}"
    yield f"{part.rate:8.2%}  {name:34} {count:>12} {part.rows:14,} rows {part.epochs:10.3g} epochs"
    for below in part.parts:
        yield from _part_lines(below, depth=depth + 1)


def _task_line(task: MixedTask, *, width: int) -> str:
    rows = f"{task.capped:,}" + (f" of {task.examples:,}" if task.capped < task.examples else "")
    return f"{task.rate:9.4%} {task.name:{width}} {rows:>22} rows {task.epochs:10.3g} epochs  {task.licence}".rstrip()
