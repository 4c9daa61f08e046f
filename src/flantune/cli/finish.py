"""Runs the pipeline for a command and says what it wrote and what to do next."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flantune.cli.terminal import show

if TYPE_CHECKING:
    from flantune.runs.run import Run
    from flantune.settings.run_file import RunFile


def run_and_tell(file: RunFile, *, out: Path, as_json: bool = False) -> Run:
    """Runs, then prints the verdict, the files and one next step (or JSON alone)."""
    quiet_libraries()
    from flantune.cli.console import starting

    console = starting()
    from flantune.commands.run import run
    from flantune.settings.json_file import plain

    finished = run(file, out=out, reporter=console)
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and os.environ.get("RANK", "0") != "0":
        return finished
    if as_json:
        click.echo(json.dumps(plain(finished.results), ensure_ascii=False))
    else:
        tell(finished)
    return finished


def tell(finished: Run) -> None:
    """Prints the table, the verdict and where things lie."""
    from flantune.report.console import console_tables
    from flantune.report.sentences import headline, metric_notes, note_sentences
    from flantune.runs.folder import RunFolder

    folder, results = RunFolder(finished.folder), finished.results
    show(*console_tables(results))
    click.echo(headline(results))
    for note in note_sentences(results.verdict) if results.verdict else ():
        click.echo(note)
    for note, tasks in metric_notes(results):
        click.echo(f"note: {', '.join(tasks)}: {note}")
    click.echo(f"report:  {folder.report}")
    click.echo(f"results: {folder.results}")
    click.echo("next:    open the report in a browser")


def quiet_libraries() -> None:
    """Keeps libraries' own progress bars and hub look-ups off a run's output."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    # PyTorch otherwise prints its own call stack when another process is gone; flantune says it in a line.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
