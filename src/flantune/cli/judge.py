"""``flantune judge``: blind rating of several models' answers side by side."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flantune.cli import options
from flantune.cli.terminal import echo_json, show, tell_next

if TYPE_CHECKING:
    from flantune.judging.ratings import Desk
    from flantune.judging.summary import Summary


@click.command("judge", epilog="Example: flantune judge answers.jsonl --rater Ada")
@click.argument("answers", type=options.FILE)
@click.option("--ratings", type=options.FILE, help="Where ratings are kept [default: beside ANSWERS, .ratings.jsonl].")
@click.option("--rater", default="", metavar="NAME", help="Your name, if several people rate into one file.")
@click.option(
    "--seed", default=0, show_default=True, type=options.SEED, help="Seed for the order of pairs and the sides."
)
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Port of the page [default: a free one].")
@click.option("--no-browser", is_flag=True, help="Only print the page's address.")
@click.option("--summary", is_flag=True, help="Print win rates instead of rating.")
@click.option("--json", "as_json", is_flag=True, help="With --summary: as JSON.")
@click.option("--html", type=options.FILE, help="With --summary: also write them as a page.")
@click.option(
    "--confidence",
    default=0.95,
    show_default=True,
    type=options.FiniteRange(0, 1, min_open=True, max_open=True),
    help="Level of the intervals.",
)
def command(
    answers: Path,
    ratings: Path | None,
    rater: str,
    seed: int,
    port: int,
    no_browser: bool,
    summary: bool,
    as_json: bool,
    html: Path | None,
    confidence: float,
) -> None:
    """Open a page on this machine to rate the models' ANSWERS in pairs, blind and in random order.

    Keys: 1 and 2 for the better answer, T for a tie, S to skip, B to go back. Each rating is saved before the next pair
    is shown; repeat the command to continue.
    """
    from flantune.judging.answers import read_answers
    from flantune.judging.comparisons import comparisons
    from flantune.judging.ratings import Desk, read_ratings

    if (as_json or html) and not summary:
        raise click.UsageError("--json and --html go with --summary")
    pairs = comparisons(read_answers(answers), seed=seed)
    kept = ratings or answers.with_suffix(".ratings.jsonl")
    if not summary:
        _serve(Desk(pairs, kept, rater=rater), title=answers.stem, port=port, is_quiet=no_browser)
        click.echo(str(kept))
        tell_next("flantune", "judge", answers, "--summary")
        return
    from flantune.judging.summary import summarize

    found = summarize(pairs, read_ratings(kept), confidence=confidence, seed=seed)
    if as_json:
        echo_json(asdict(found))
    else:
        _tell(found)
    if html is not None:
        from flantune.judging.page import write_summary_page

        click.echo(str(write_summary_page(found, html, title=answers.stem)), err=as_json)


def _serve(desk: Desk, *, title: str, port: int, is_quiet: bool) -> None:
    """Serves the page until Ctrl-C."""
    import webbrowser

    from flantune.judging.server import JudgingServer

    server = JudgingServer(desk, title=title, port=port)
    same = f", {desk.same} pairs of equal answers count as ties" if desk.same else ""
    click.echo(f"{desk.done} of {len(desk.pairs)} pairs are rated{same}; Ctrl-C ends", err=True)
    click.echo(server.url)
    try:
        if not is_quiet:
            webbrowser.open(server.url)
        server.run()
    except KeyboardInterrupt:
        click.echo(f"\n{desk.done} of {len(desk.pairs)} pairs are rated", err=True)
    finally:
        server.close()


def _tell(found: Summary) -> None:
    """Prints the table and its meaning."""
    from flantune.judging.page import sentence
    from flantune.judging.summary import summary_table

    show(summary_table(found))
    for pair in found.pairs:
        click.echo(sentence(pair))
