"""``flantune report``: the page of a finished run, written again."""

from __future__ import annotations

from pathlib import Path

import click

from flantune.cli import options


@click.command("report", epilog="Example: flantune report runs/run")
@click.argument("run_folder", type=options.OLD_FOLDER)
def command(run_folder: Path) -> None:
    """Write RUN_FOLDER's report.html again from what is stored there."""
    from flantune.report.page import write_report

    click.echo(str(write_report(run_folder)))
