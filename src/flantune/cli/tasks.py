"""``flantune tasks``: what a run file's tasks are, and whether their rows are sound."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.group("tasks")
def command() -> None:
    """List and check the tasks of a run file."""


@command.command("list")
@click.argument("run_file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_tasks(run_file: Path, as_json: bool) -> None:
    """List RUN_FILE's tasks: name, clusters, kind, family, templates."""
    from flantune.run_file import load_run_file
    from flantune.tasks.load import load_tasks

    loaded = load_run_file(run_file)
    tasks = load_tasks(loaded.config.data, root=loaded.root)
    rows = [
        {
            "name": task.name,
            "clusters": list(task.clusters),
            "family": task.family,
            "kind": task.kind,
            "metrics": list(task.metrics),
            "templates": len(task.templates),
            "inverted": sum(template.is_inverted for template in task.templates),
            "licence": task.licence,
        }
        for task in tasks
    ]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    for row in rows:
        counts = f"{row['templates']} templates ({row['inverted']} inverted)"
        click.echo(f"{row['name']:32} {', '.join(task_clusters(row)):44} {row['kind']:15} {counts}")


def task_clusters(row: dict[str, object]) -> list[str]:
    """The clusters of a listed task."""
    clusters = row["clusters"]
    return [str(cluster) for cluster in clusters] if isinstance(clusters, list) else []


@command.command()
@click.argument("run_file", type=click.Path(path_type=Path))
def check(run_file: Path) -> None:
    """Read every row of RUN_FILE's tasks and count what is bad, by reason, with row numbers."""
    import tempfile

    from flantune.errors import FlantuneError
    from flantune.run_file import load_run_file
    from flantune.tasks.load import load_tasks
    from flantune.tasks.prepare import prepare_task

    loaded = load_run_file(run_file)
    data = loaded.config.data
    problems = 0
    with tempfile.TemporaryDirectory(prefix="flantune-check-") as scratch:
        for task in load_tasks(data, root=loaded.root):
            try:
                prepared = prepare_task(task, cache=data.cache or Path(scratch), max_bad_share=1.0)
            except FlantuneError as error:
                problems += 1
                click.echo(f"{task.name}: {error.render()}")
                continue
            for role, report in prepared.reports.items():
                bad = sum(report.bad.values())
                problems += bad
                click.echo(f"{task.name:32} {role:6} {report.raw_rows:9,} rows  {report.kept:9,} kept  {bad:6,} bad")
                for note in report.first_bad:
                    click.echo(f"    row {note.row}: {note.reason}: {note.detail}")
    click.get_current_context().exit(1 if problems else 0)
