"""``flantune tasks``: the definitions of tasks, checks of their rows, and leaks between them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flantune.cli import options
from flantune.cli.browse import command as browse
from flantune.cli.terminal import echo_json

if TYPE_CHECKING:
    from flantune.mixture.leaks import FoldLeaks, KinGroup


@click.group("tasks")
def command() -> None:
    """List, show, browse and check the tasks of a run file or of a shipped collection."""


command.add_command(browse)


@command.command(
    "list",
    short_help="Name, clusters, kind, templates, hub id, licence and languages of each task.",
    epilog="Example: flantune tasks list --collection flan2021",
)
@options.run_file_or_none
@click.option("--collection", multiple=True, metavar="NAME", help="A shipped collection instead; repeatable.")
@options.as_json("the tasks")
def list_tasks(run_file: Path | None, collection: tuple[str, ...], as_json: bool) -> None:
    """List RUN_FILE's tasks, or a collection's: name, clusters, kind, templates, hub id, licence, languages."""
    from flantune.tasks.catalog import summarize_task, tasks_of

    rows = [summarize_task(task) for task in tasks_of(run_file, collection=collection)]
    if as_json:
        echo_json(rows, indent=1)
        return
    for row in rows:
        click.echo(_row_line(row))
    clusters = {cluster for row in rows for cluster in row["clusters"]}
    templates = sum(row["templates"] for row in rows)
    click.echo(f"{len(rows)} tasks in {len(clusters)} clusters, {templates} templates", err=True)


def _row_line(row: dict[str, Any]) -> str:
    counts = f"{row['templates']} templates ({row['inverted']} inverted, {row['options_shown']} with options)"
    clusters = ", ".join(row["clusters"])
    end = "; ".join(part for part in (row["licence"], ", ".join(row["languages"])) if part)
    return f"{row['name']:34} {clusters:38} {row['kind']:15} {counts:44} {row['hub']:44} {end}".rstrip()


@command.command(
    short_help="One task: definition, splits, slots, templates, an example.", epilog="Example: flantune tasks show rte"
)
@click.argument("name")
@options.run_file_or_none
@click.option("--collection", multiple=True, metavar="NAME", help="A shipped collection [default: all]; repeatable.")
@options.as_json("the task")
def show(name: str, run_file: Path | None, collection: tuple[str, ...], as_json: bool) -> None:
    """Show the task NAME: definition, splits, slots, licence, templates and one rendered example."""
    from flantune.report.task_sheet import definition_lines, describe_definition
    from flantune.tasks.catalog import find_task

    sheet = describe_definition(find_task(name, run_file=run_file, collection=collection))
    if as_json:
        echo_json(sheet, indent=1)
        return
    for line in definition_lines(sheet):
        click.echo(line)


@command.command(
    short_help="Why each task is trained on, unseen or left out.", epilog="Example: flantune tasks leaks run.toml"
)
@options.run_file
@options.overrides
@options.as_json("the folds")
def leaks(run_file: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Explain, for each fold of RUN_FILE, why each excluded task is excluded, and which tasks are kin.

    Uses the definitions, and reads files only to tell whether two are the same. A run also leaves out tasks without
    data.
    """
    from flantune.errors import ConfigError
    from flantune.mixture.holdout import folds_of
    from flantune.mixture.leaks import explain_fold, kin_groups
    from flantune.mixture.taxonomy import load_taxonomy
    from flantune.settings.run_file import load_run_file
    from flantune.tasks.load import load_tasks

    loaded = load_run_file(run_file, overrides=overrides)
    holdout = loaded.config.holdout
    if not folds_of(holdout):
        raise ConfigError("no fold is held out", where="holdout.folds", hint="`flantune splits` makes folds")
    tasks, taxonomy = load_tasks(loaded.config.data, root=loaded.root), load_taxonomy(holdout.taxonomy)
    without = holdout.benchmarks
    folds = [explain_fold(tasks, fold, taxonomy=taxonomy, benchmarks=without) for fold in folds_of(holdout)]
    groups = kin_groups(tasks, taxonomy)
    if as_json:
        kin = [{"name": group.name, "tasks": group.tasks, "because": group.because} for group in groups]
        echo_json({"folds": [fold.to_json() for fold in folds], "kin": kin}, indent=1)
        return
    for fold in folds:
        _print_fold(fold)
    _print_kin(groups)


def _print_fold(fold: FoldLeaks) -> None:
    click.echo(f"── held out: {', '.join(fold.held_out)}")
    for rule in fold.breaks:
        click.echo(f"   on purpose: {rule}")
    click.echo(f"   unseen ({len(fold.unseen)}): {', '.join(fold.unseen)}")
    click.echo(f"   trained on ({len(fold.train)}): {', '.join(fold.train)}")
    click.echo(f"   excluded ({len(fold.excluded)})")
    for one in fold.excluded:
        click.echo(f"     {one.task} ({', '.join(one.clusters)}): {one.reason}")
        for because, names in one.given_away().items():
            is_said = because.rpartition(": ")[2] in one.reason
            click.echo(f"       it would give away {', '.join(names)}{'' if is_said else f': {because}'}")
    click.echo()


def _print_kin(groups: tuple[KinGroup, ...]) -> None:
    click.echo("── kin among these tasks" if groups else "── no two of these tasks are kin")
    for group in groups:
        click.echo(f"     {', '.join(group.tasks)}: {group.because or group.name}")


@command.command(
    short_help="Read every row; count bad rows by reason.", epilog="Example: flantune tasks check run.toml"
)
@options.run_file
@options.as_json("what was found")
def check(run_file: Path, as_json: bool) -> None:
    """Read every row of RUN_FILE's tasks; count bad rows by reason, with file, row numbers and what was expected.

    Also checks whether metrics can read the references, whether options give the right one away, and whether test rows
    share a passage or a person, which would make intervals too narrow. If the run file names a model, counts answers
    that its tokenizer cannot write.
    """
    import tempfile

    from flantune.cli.console import starting

    console = starting("read every row")
    from flantune.commands.answer_check import run_faults
    from flantune.commands.task_check import check_task
    from flantune.settings.run_file import load_run_file
    from flantune.tasks.load import folder_notes, load_tasks

    loaded = load_run_file(run_file)
    data = loaded.config.data
    problems = 0
    tasks: list[dict[str, object]] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="flantune-check-") as scratch:
        for task in load_tasks(data, root=loaded.root):
            console.stage(f"read every row of {task.name}")
            checked = check_task(task, cache=data.cache or Path(scratch))
            problems += checked.problems
            tasks.append({"task": task.name, "problems": checked.problems, "lines": checked.lines})
            for line in () if as_json else checked.lines:
                click.echo(line)
        notes += folder_notes(data, root=loaded.root)
        for fault in run_faults(loaded, cache=data.cache or Path(scratch)):
            problems += fault.is_refused
            notes.append(f"{'error' if fault.is_refused else 'warning'}: {fault}")
    if as_json:
        echo_json({"problems": problems, "tasks": tasks, "notes": notes}, indent=1)
    for line in () if as_json else notes:
        click.echo(line)
    click.get_current_context().exit(1 if problems else 0)
