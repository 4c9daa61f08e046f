"""``flantune templates``: the linter."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from flantune.types import Task


@click.group("templates")
def command() -> None:
    """Check templates for the mistakes that spoil training."""


@command.command()
@click.argument("run_file", type=click.Path(path_type=Path))
@click.option("--rows", default=20, show_default=True, type=click.IntRange(0), help="Rows a task to render.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def lint(run_file: Path, rows: int, as_json: bool) -> None:
    """Lint the templates of RUN_FILE's tasks, or of one task file: slots, white space, duplicates, leaks, options."""
    from flantune.prompts.lint import lint_task
    from flantune.tasks.examples import first_examples

    tasks = _tasks_of(run_file)
    findings = [finding for task in tasks for finding in lint_task(task, first_examples(task, count=rows))]
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=1))
    else:
        for finding in findings:
            click.echo(f"{finding.task}/{finding.template}: {finding.severity}: {finding.rule}: {finding.message}")
        templates = sum(len(task.templates) for task in tasks)
        click.echo(f"{len(findings)} findings in {templates} templates of {len(tasks)} tasks", err=True)
    click.get_current_context().exit(1 if any(finding.severity == "error" for finding in findings) else 0)


def _tasks_of(path: Path) -> tuple[Task, ...]:
    """The tasks of a run file, or the one of a task file (which has templates or an adapter of its own)."""
    import tomllib

    from flantune.run_file import load_run_file
    from flantune.tasks.load import load_task_file, load_tasks

    if path.is_file():
        try:
            if "templates" in tomllib.loads(path.read_text(encoding="utf-8-sig")):
                return (load_task_file(path, mirror=None),)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            pass  # the loader below says it better
    loaded = load_run_file(path)
    return load_tasks(loaded.config.data, root=loaded.root)
