"""``flantune run``: from a run file to a run folder."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("run")
@click.argument("run_file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Run folder [default: runs/<file name>].")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON on stdout.")
def command(run_file: Path, out: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Tune the model as RUN_FILE says, measure it on what it never saw, write the report.

    Killed or interrupted? The same command goes on where it stopped.
    """
    from flantune.cli.finish import run_and_tell
    from flantune.run_file import load_run_file

    loaded = load_run_file(run_file, overrides=overrides)
    run_and_tell(loaded, out=out or Path("runs") / run_file.stem, as_json=as_json)
