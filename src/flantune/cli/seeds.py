"""``flantune seeds``: several runs of one run file, each with its own seed, as one result."""

from __future__ import annotations

from pathlib import Path

import click

from flantune.cli import options
from flantune.cli.terminal import echo_json, show


@click.command("seeds", epilog="Example: flantune seeds runs/a runs/b runs/c")
@click.argument("run_folders", nargs=-1, required=True, type=options.OLD_FOLDER)
@options.as_json("everything")
def command(run_folders: tuple[Path, ...], as_json: bool) -> None:
    """Show what tuning changed over all RUN_FOLDERS, with intervals that cover seeds as well as rows."""
    from flantune.evaluation.statistics.seeds import over_seeds
    from flantune.report.console import seeds_table
    from flantune.runs.files import read_results

    summary = over_seeds([read_results(folder) for folder in run_folders])
    if as_json:
        echo_json(summary.to_json(), indent=1)
    else:
        show(seeds_table(summary))
