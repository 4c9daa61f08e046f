"""``flantune init``: files to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from flantune.cli import options
from flantune.cli.terminal import tell_next


@click.command("init", epilog="Example: flantune init my-project --model HuggingFaceTB/SmolLM2-135M")
@click.argument("folder", type=options.FOLDER, default=Path())
@click.option("--like", metavar="PAPER", default="", help="A run file with this paper's settings and sources.")
@click.option("--model", metavar="MODEL", default="", help="What to tune: a folder, a GGUF file or a hub id.")
@options.as_json("the files")
def command(folder: Path, like: str, model: str, as_json: bool) -> None:
    """Write files to begin with into FOLDER [default: this one]; existing files are kept.

    Without --like: a project that runs at once, with two small tasks over CSV files and comments that explain. With it
    one run file, commented, with what the paper trained on and how: flan2021, flan2022, flan-t5, t0, t0++, tk-instruct.
    """
    import json

    from flantune.commands.init import write_project

    written = write_project(folder, like=like, model=model)
    if as_json:
        click.echo(json.dumps([str(path) for path in written], ensure_ascii=False))
        return
    click.echo("\n".join(map(str, written)))
    tell_next("flantune", "check", written[0])
