"""``flantune seeds``: several runs of one run file, each with its own seed, as one result."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("seeds")
@click.argument("run_folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(run_folders: tuple[Path, ...], as_json: bool) -> None:
    """What tuning changed in RUN_FOLDERS together, with intervals that cover other seeds as well as other rows."""
    import json

    from rich.console import Console

    from flantune.evaluation.seeds import over_seeds
    from flantune.files import read_json
    from flantune.report.console import seeds_table

    summary = over_seeds([read_json(folder / "results.json") for folder in run_folders])
    if as_json:
        click.echo(json.dumps(summary.to_json(), indent=1))
    else:
        Console().print(seeds_table(summary))
