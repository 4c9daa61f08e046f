"""``flantune prepare``: training prompts as token ids, prepared in advance by many processes."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import click

from flantune.cli import options
from flantune.cli.terminal import echo_json, tell_next


def _part(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, int]:  # noqa: ARG001
    """Number and count of ``3/16``, the third of sixteen."""
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", value.strip())
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise click.BadParameter(f'"{value}" is not a part; write K/N, such as 3/16 for the third of sixteen.')
    return int(found[1]), int(found[2])


@click.command("prepare", epilog="Example: flantune prepare run.toml --out prepared --workers 16")
@options.run_file
@click.option("--out", type=options.FOLDER, required=True, help="Folder for the prepared prompts.")
@click.option(
    "--engine",
    "engine_name",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="What makes them: processes on this machine, or Ray (needs the extra `ray`).",
)
@click.option("--workers", type=click.IntRange(1, 4096), help="Number of processes [default: one per core].")
@click.option("--draws", type=options.COUNT, help="Number of prompts [default: as many as training.steps need].")
@click.option(
    "--part",
    callback=_part,
    default="1/1",
    metavar="K/N",
    help="Make only this part, such as 3/16: an array job's share.",
)
@click.option("--fold", type=click.IntRange(0), help="Only this fold, counted from 0 [default: all].")
@options.run_folder
@options.overrides
@options.as_json("what was made")
def command(
    run_file: Path,
    out: Path,
    engine_name: str,
    workers: int | None,
    draws: int | None,
    part: tuple[int, int],
    fold: int | None,
    run_folder: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Render and tokenize RUN_FILE's training prompts ahead of time, in numbered blocks, for `data.prepared`.

    The bytes are the same for any engine, number of workers and order. Existing blocks are kept, so the same command
    resumes where it stopped. No model is loaded.
    """
    from flantune.cli.console import starting

    console = starting()
    from flantune.commands.prepare import prepare
    from flantune.settings.run_file import load_run_file
    from flantune.system.engines import LocalEngine, RayEngine, cores

    loaded = load_run_file(run_file, overrides=overrides)
    count = workers or cores()
    engine = RayEngine(workers=count) if engine_name == "ray" else LocalEngine(workers=count, note=console.note)
    folds = prepare(
        loaded,
        out=out.absolute(),
        engine=engine,
        cache=options.prepared_data(run_folder, run_file).absolute(),
        draws=draws,
        part=part,
        fold=fold,
        reporter=console,
    )
    for done in folds:
        if as_json:
            echo_json(asdict(done), default=str)
        else:
            click.echo(str(done.folder))
        console.note(
            f"{done.folder.name}: {done.draws:,} draws, {done.made:,} blocks made in {done.seconds:,.1f} s,"
            f" {done.kept:,} kept, {done.missing:,} missing"
        )
    if any(done.missing for done in folds):
        click.echo("next: make the missing parts; then repeat this command to write the manifest", err=True)
    else:
        tell_next("flantune", "run", run_file, "--set", f"data.prepared={out.absolute()}")
