"""``flantune report``: the page of a run, or of several runs side by side; figures as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flantune.cli import options
from flantune.cli.terminal import echo_json

if TYPE_CHECKING:
    from flantune.report.figures.files import Format

_EPILOG = "Example: flantune report runs/run --figures figures --format pdf"


@click.command("report", epilog=_EPILOG)
@click.argument("folders", nargs=-1, required=True, type=options.OLD_FOLDER)
@click.option("--out", type=options.FILE, help="Report over several runs [default: reports/<their names>.html].")
@click.option("--figures", type=options.FOLDER, help="Also write every figure, with its caption, into this folder.")
@click.option(
    "--format",
    "formats",
    type=click.Choice(("svg", "pdf", "png")),
    multiple=True,
    help="Format of figures; repeatable [default: all available; PDF and PNG need the extra `figures`].",
)
@click.option("--dark", is_flag=True, help="Draw figures for a dark background.")
@options.as_json("what was written")
def command(
    folders: tuple[Path, ...],
    out: Path | None,
    figures: Path | None,
    formats: tuple[Format, ...],
    dark: bool,
    as_json: bool,
) -> None:
    """Rewrite the report of a run or a study from its stored results, or write one report over several runs.

    The report of a run or a study is report.html in its folder. Nothing is measured again.
    """
    from flantune.cli.console import starting

    starting("read what is stored, draw the page")
    from flantune.commands.report import report
    from flantune.report.figure_files import Look, said
    from flantune.report.figures.files import FORMATS, makeable

    if (formats or dark) and figures is None:
        raise click.UsageError("--format and --dark are for --figures DIR")
    look = Look(formats=formats or makeable(), scheme="dark" if dark else "light")
    written = report(folders, out=out, figures=figures, look=look)
    if as_json:
        page = None if written.page is None else str(written.page)
        echo_json({"page": page, "figures": [str(path) for path in written.figures]})
        return
    if written.page is not None:
        click.echo(str(written.page))
    if figures is not None:
        click.echo(said(written.figures, figures))
        if not formats and makeable() != FORMATS:
            click.echo("no PDF and PNG; to get them, in flantune's folder: pip install -e '.[figures]'", err=True)
