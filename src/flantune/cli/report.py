"""``flantune report``: the page of a run, or of several runs side by side; figures as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flantune.cli import options

if TYPE_CHECKING:
    from flantune.report.figures.files import Format

_EPILOG = "Example: flantune report runs/run --figures figures --format pdf"


@click.command("report", epilog=_EPILOG)
@click.argument("folders", nargs=-1, required=True, type=options.OLD_FOLDER)
@click.option("--out", type=options.FILE, help="The page of several runs [default: reports/<their names>.html].")
@click.option("--figures", type=options.FOLDER, help="Write every figure into this folder too, with its caption.")
@click.option(
    "--format",
    "formats",
    type=click.Choice(("svg", "pdf", "png")),
    multiple=True,
    help="Of figures; repeatable [default: all that can be made: PDF and PNG need the extra of the name figures].",
)
@click.option("--dark", is_flag=True, help="Figures for dark ground.")
@options.as_json("what was written")
def command(
    folders: tuple[Path, ...],
    out: Path | None,
    figures: Path | None,
    formats: tuple[Format, ...],
    dark: bool,
    as_json: bool,
) -> None:
    """Write the page of a run or a study again from what is stored there; of several runs, one page with all.

    The page of a run or a study is report.html in its folder. Nothing is measured anew.
    """
    import json

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
        click.echo(json.dumps({"page": page, "figures": [str(path) for path in written.figures]}, ensure_ascii=False))
        return
    if written.page is not None:
        click.echo(str(written.page))
    if figures is not None:
        click.echo(said(written.figures, figures))
        if not formats and makeable() != FORMATS:
            click.echo("PDF and PNG are left out: in flantune's folder, pip install -e '.[figures]'", err=True)
