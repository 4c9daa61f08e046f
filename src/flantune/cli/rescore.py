"""``flantune rescore``: new numbers from stored samples, without the model."""

from __future__ import annotations

from pathlib import Path

import click

from flantune.cli import options


@click.command("rescore", epilog="Example: flantune rescore runs/run --normalization token")
@click.argument("run_folder", type=options.OLD_FOLDER)
@click.option(
    "--normalization",
    type=click.Choice(options.NORMALIZATIONS),
    help="Headline normalization; the last three only if the run was measured with it.",
)
@click.option("--confidence", type=options.FiniteRange(0.5, 0.999), help="Level of the intervals.")
@options.as_json("the results")
def command(run_folder: Path, normalization: str | None, confidence: float | None, as_json: bool) -> None:
    """Score RUN_FOLDER's samples again and rewrite results.json and report.html."""
    from flantune.cli.console import starting
    from flantune.cli.finish import tell

    starting("score the stored samples again")
    from flantune.commands.rescore import rescore_run

    rescored = rescore_run(run_folder, normalization=normalization, confidence=confidence)
    tell(rescored.results, rescored.folder, as_json=as_json)
