"""``flantune compare``: two models on the same rows, and an exit code for continuous integration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flantune.cli import options
from flantune.cli.terminal import echo, echo_json, paint, show

if TYPE_CHECKING:
    from flantune.commands.compare import Judge

_EPILOG = "Example: flantune compare runs/main runs/branch --fail-below -1. Exit codes: 0 passed, 1 failed."


@click.command("compare", epilog=_EPILOG)
@click.argument("first", metavar="FIRST[:MODEL]")
@click.argument("second", metavar="SECOND[:MODEL]")
@click.option(
    "--fail-below",
    "limit",
    type=options.FiniteRange(-100, 100),
    metavar="POINTS",
    help="Exit with 1 if the difference is below this many points.",
)
@click.option(
    "--by",
    type=click.Choice(("difference", "lower-end", "upper-end")),
    default="difference",
    show_default=True,
    help="What must not be below it: the difference, or an end of its interval.",
)
@options.as_json("everything")
def command(first: str, second: str, limit: float | None, by: Judge, as_json: bool) -> int:
    """Say whether SECOND's model is better than FIRST's on the rows that both answered.

    FIRST and SECOND are run folders (their tuned models, or with ":base" their base models), or one folder of `flantune
    evaluate` with two of its models. No model is loaded: stored samples are paired row by row. By the lower end SECOND
    passes only if so large a loss is ruled out; by the upper end it fails only if such a loss is certain.
    """
    from flantune.cli.console import starting

    starting("read the samples of both")
    from flantune.commands.compare import compare, comparison_json, judge, named, verdict_line
    from flantune.report.console import comparison_tables
    from flantune.report.sentences import headline, note_sentences

    found = compare(named(first), named(second))
    judged = judge(found.results, limit=limit, by=by)
    if as_json:
        echo_json(comparison_json(found, judged, limit=limit, by=by))
    else:
        show(*comparison_tables(found.results))
        if found.results.verdict:
            click.echo(headline(found.results))
            for note in note_sentences(found.results.verdict):
                click.echo(note)
    for task, why in found.left_out.items():
        echo(f"not compared: {task}: {why}", err=True)
    if limit is not None:
        for one in judged:
            echo(paint(verdict_line(one, limit=limit, by=by), bold=not one.is_passed), err=True)
    return 0 if all(one.is_passed for one in judged) else 1
