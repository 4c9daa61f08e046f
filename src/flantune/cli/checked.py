"""Shared by two commands: checks a run before it trains, and prints the findings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flantune.cli.options import default_folder, prepared_data
from flantune.cli.terminal import echo_json, tell_next

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile


def tell_check(
    file: RunFile, path: Path, *, folder: Path | None, fold: int, contamination: bool, device: str, as_json: bool
) -> None:
    """Checks a run file, prints the findings, and ends the command: exit code 1 if a run would stop."""
    from flantune.cli.console import starting

    console = starting()
    from flantune.commands.check import check_run_file
    from flantune.commands.check_lines import check_lines

    check = check_run_file(
        file,
        cache=prepared_data(folder, path),
        fold=fold,
        contamination=contamination,
        device=device,
        folder=default_folder(folder, path),
        reporter=console,
    )
    if as_json:
        echo_json(check.to_json(), indent=1)
    else:
        click.echo("\n".join(check_lines(check)))
        if not check.errors:
            tell_next("flantune", "run", path)
    click.get_current_context().exit(1 if check.errors else 0)
