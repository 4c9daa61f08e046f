"""``flantune report``: the page of a finished run, written again."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("run_folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def command(run_folder: Path) -> None:
    """Write RUN_FOLDER's report.html again from what is stored there."""
    from flantune.report.page import write_report

    click.echo(str(write_report(run_folder)))
