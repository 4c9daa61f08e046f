"""``flantune samples``: single prompts of a run, with its models' answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flantune.cli import options
from flantune.cli.terminal import echo, echo_json, paint, tell_next

if TYPE_CHECKING:
    from flantune.report.sample_list import SampleList, ShownSample

_OUTCOMES = {
    "fixed": "wrong before tuning, right after",
    "broken": "right before, wrong after",
    "right": "right before and after",
    "wrong": "wrong before and after",
}


@click.command("samples", epilog="Example: flantune samples runs/run --outcome broken --count 3")
@click.argument("run", type=options.OLD_FOLDER)
@click.option("--task", default="", metavar="NAME", help="Only prompts of this task.")
@click.option("--template", default="", metavar="NAME", help="Only prompts of this template.")
@click.option("--shots", type=click.IntRange(0), help="Only prompts with this many exemplars.")
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    type=click.Choice(list(_OUTCOMES)),
    help="fixed: wrong before tuning, right after; broken: the other way round; right, wrong: in both; repeatable.",
)
@click.option("--count", default=5, show_default=True, type=click.IntRange(1), help="Largest number to show.")
@options.as_json("the prompts, answers and totals")
def command(run: Path, as_json: bool, **chosen: Any) -> None:
    """Show prompts of RUN with the answers of the base and the tuned model, chosen by what tuning changed.

    The choice is the same every time. The run's report has more prompts, and its samples/ folders have all of them, as
    Parquet files.
    """
    from flantune.report.sample_list import list_samples
    from flantune.report.samples import asked_in_run
    from flantune.runs.files import read_run

    found = list_samples(asked_in_run(read_run(run)), **chosen)
    if as_json:
        echo_json(asdict(found), indent=1)
        return
    for sample in found.samples:
        for line in _lines(sample):
            echo(line)
    echo(_totals(found))
    tell_next("flantune", "report", run)


def _lines(sample: ShownSample) -> Iterator[str]:
    shots = f", {sample.shots} exemplars" if sample.shots else ""
    fold = f", {sample.fold}" if sample.fold else ""
    yield paint(
        f"{sample.task}, row {sample.row}, {sample.template}{shots}{fold}: {_OUTCOMES[sample.outcome]}", bold=True
    )
    yield sample.inputs
    yield paint(f"right: {' / '.join(sample.right)}", dim=True)
    for one in sample.answers:
        read = (
            "" if one.read_as == one.text else f"  (read as: {one.read_as if one.read_as is not None else 'nothing'})"
        )
        yield paint(f"{one.model}: {one.text}{read}", fg="green" if one.is_right else "red")
    yield ""


def _totals(found: SampleList) -> str:
    counts = ", ".join(f"{number:,} {name}" for name, number in found.totals.items())
    return f"{len(found.samples):,} shown of {sum(found.totals.values()):,} prompts: {counts}"
