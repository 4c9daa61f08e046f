"""``flantune init``: files to start from."""

from __future__ import annotations

from pathlib import Path

import click

from flantune.cli import options
from flantune.cli.terminal import tell_next


@click.command("init", epilog="Example: flantune init my-project --model HuggingFaceTB/SmolLM2-135M")
@click.argument("folder", type=options.FOLDER, default=Path())
@click.option("--like", metavar="PAPER", default="", help="Write a run file with this paper's settings and sources.")
@click.option("--model", metavar="MODEL", default="", help="Model to tune: a folder, a GGUF file or a hub id.")
@click.option(
    "--data",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File to tune on: chats, instructions, prompts with answers, or texts with labels; repeatable.",
)
@options.as_json("the files")
def command(folder: Path, like: str, model: str, data: tuple[Path, ...], as_json: bool) -> None:
    """Write a project into FOLDER [default: this one]; existing files are kept.

    Without options: a project that runs as it is, with two small tasks over CSV files and explanatory comments. With
    --data: a run file, and a task for each of your files, in the forms that other programs use (OpenAI's "messages",
    ShareGPT, Alpaca, "prompt" and "completion", a text and a label), as CSV, JSON, JSON lines or Parquet. With --like:
    one commented run file with a paper's data and settings: flan2021, flan2022, flan-t5, t0, t0++, tk-instruct.
    """
    import json

    from flantune.commands.init import write_project

    project = write_project(folder, like=like, model=model, data=data)
    for note in project.notes:
        click.echo(note, err=True)
    if as_json:
        click.echo(json.dumps([str(path) for path in project.files], ensure_ascii=False))
        return
    click.echo("\n".join(map(str, project.files)))
    tell_next("flantune", "check", project.files[0])
