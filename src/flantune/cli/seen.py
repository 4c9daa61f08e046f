"""``flantune seen``: whether a model was trained on what another tool measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flantune.cli import options
from flantune.cli.terminal import echo, echo_json, paint

if TYPE_CHECKING:
    from flantune.commands.seen import BenchmarkStanding

_WORDS = {
    "taught": "trained on",
    "rows": "questions seen",
    "kin": "kin seen",
    "cluster": "kind seen",
    "unseen": "unseen",
    "unknown": "not recognized",
}


@click.command("seen", epilog="Example: flantune seen runs/run/folds/sentiment/model results_2026-11-30.json")
@click.argument("model", type=click.Path(path_type=Path, exists=True))
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@options.as_json("everything")
def command(model: Path, results: tuple[Path, ...], as_json: bool) -> None:
    """Say for each benchmark in RESULTS whether MODEL was trained on it, on its kin, or on its kind of task.

    RESULTS are files of lm-evaluation-harness, lighteval or inspect_ai, or folders of them. The record of what the
    model was trained on is flantune.json in its folder, or beside a GGUF file. Exit code 1: something was not new to
    the model.
    """
    from flantune.commands.seen import look_up
    from flantune.settings.json_file import plain

    found = look_up(model, results)
    if as_json:
        echo_json(plain(found), indent=1)
    else:
        signed = "its hash matches" if found.is_signed else "unsigned: written by an earlier version"
        held = f", {', '.join(found.held_out)} held out" if found.held_out else ""
        click.echo(f"record of {found.tasks:,} tasks{held} ({signed})")
        for one in found.benchmarks:
            _tell(one)
    click.get_current_context().exit(1 if found.seen else 0)


def _tell(one: BenchmarkStanding) -> None:
    score = "" if one.score is None else f"{one.metric} {one.score:.4g}"
    is_seen = one.standing not in ("unseen", "unknown")
    echo(f"{one.benchmark:32} {score:24} ", paint(_WORDS[one.standing], bold=is_seen))
    for reason in one.reasons[:3]:
        click.echo(f"    {reason}")
    if len(one.reasons) > 3:
        click.echo(f"    and {len(one.reasons) - 3} more (--json has them)")
