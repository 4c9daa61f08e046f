"""The final output of commands that measure models: scores, written files, and one next step."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flantune.cli.terminal import echo, echo_json, paint, show

if TYPE_CHECKING:
    from flantune.evaluation.results import Results


def tell(results: Results, folder: Path, *, as_json: bool = False) -> None:
    """Prints the tables, the verdict and the files, or only JSON; of several processes only the first one prints."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and os.environ.get("RANK", "0") != "0":
        return
    from flantune.report.sentences import warnings
    from flantune.settings.json_file import plain

    if as_json:
        echo_json(plain(results))
    else:
        _tell_people(results)
    for warning in warnings(results):
        echo(paint(warning, bold=True), err=True)
    if not as_json:
        click.echo(f"report:  {folder / 'report.html'}")
        click.echo(f"results: {folder / 'results.json'}")
        click.echo("next:    open the report in a browser")


def _tell_people(results: Results) -> None:
    from flantune.report.console import console_tables
    from flantune.report.sentences import headline, metric_notes, note_sentences

    show(*console_tables(results))
    if results.kind == "run":
        click.echo(headline(results))
        for note in note_sentences(results.verdict) if results.verdict else ():
            click.echo(note)
        for note, tasks in metric_notes(results):
            click.echo(f"note: {', '.join(tasks)}: {note}")
