"""``flantune config``: every setting's value, meaning and origin."""

from __future__ import annotations

from pathlib import Path

import click

from flantune.cli import options
from flantune.cli.terminal import echo_json


@click.group("config")
def command() -> None:
    """Show every setting of a run file, its meaning and the origin of its value."""


@command.command(epilog="Example: flantune config show run.toml")
@options.run_file_or_none
@options.overrides
@options.as_json("values, origins and meanings")
def show(run_file: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print every value with its origin; without a run file, the defaults."""
    import json

    from flantune.cli.terminal import echo, paint
    from flantune.settings.config import RunConfig
    from flantune.settings.run_file import explain, flatten, load_run_file, run_file_of

    loaded = (
        load_run_file(run_file, overrides=overrides)
        if run_file
        else run_file_of(RunConfig(), root=Path.cwd(), origin="default")
    )
    values = dict(flatten(loaded.config))
    if as_json:
        rows = {key: {"value": v, "origin": loaded.origins[key], "help": explain(key)} for key, v in values.items()}
        echo_json(rows, indent=1, default=str)
        return
    for key, value in values.items():
        shown = json.dumps(value, default=str, ensure_ascii=False)
        click.echo(f"{key:36} {shown:28} {loaded.origins[key]}")
        echo(paint(f"    {explain(key)}", dim=True))
