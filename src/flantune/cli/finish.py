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

    finished = run(file, out=out, reporter=console)
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and os.environ.get("RANK", "0") != "0":
        return finished
    if as_json:
        click.echo(json.dumps(finished.results, ensure_ascii=False))
    else:
        tell(finished)
    return finished


def tell(finished: Run) -> None:
    """Prints the table, the verdict and where things lie."""
    from flantune.report.console import results_table, skill_table
    from flantune.report.results import parse_results
    from flantune.report.verdict import headline, metric_notes, note_sentences

    parsed, skill = parse_results(finished.results), skill_table(finished.results)
    show(results_table(finished.results), *([skill] if skill is not None else []))
    click.echo(headline(parsed))
    for note in note_sentences(parsed.verdict) if parsed.verdict else ():
        click.echo(note)
    for task, note in metric_notes(parsed):
        click.echo(f"note: {task}: {note}")
    click.echo(f"report:  {finished.folder / 'report.html'}")
    click.echo(f"results: {finished.folder / 'results.json'}")
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
