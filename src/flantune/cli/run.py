"""``flantune run``: from a run file to a run folder."""

from __future__ import annotations

from pathlib import Path

import click

from flantune.cli import options


@click.command("run", epilog="Example: flantune run run.toml --set training.steps=100")
@options.run_file
@options.out
@options.overrides
@click.option("--dry-run", is_flag=True, help="Say what the run would cost and what would stop it; nothing is trained.")
@options.planned_device
@options.as_json("the results")
def command(
    run_file: Path, out: Path | None, overrides: tuple[str, ...], dry_run: bool, device: str, as_json: bool
) -> None:
    """Tune the model as RUN_FILE says, measure it on what was held out, and write the report.

    Killed or interrupted? The same command resumes where it stopped. --dry-run prints steps, tokens, arithmetic,
    memory, the smallest detectable difference, and how long the run would take: here, or on the devices that --on
    names.
    """
    if dry_run:
        from flantune.cli.checked import tell_check
        from flantune.settings.run_file import load_run_file

        loaded = load_run_file(run_file, overrides=overrides)
        tell_check(loaded, run_file, folder=out, fold=0, contamination=False, device=device or "here", as_json=as_json)
    if device:
        raise click.UsageError("--on goes with --dry-run: a run itself takes the device that model.device names")
    from flantune.cli.console import starting
    from flantune.cli.finish import tell
    from flantune.settings.run_file import load_run_file

    loaded = load_run_file(run_file, overrides=overrides)
    console = starting()
    from flantune.commands.run import run

    finished = run(loaded, out=options.default_folder(out, run_file), reporter=console)
    tell(finished.results, finished.folder, as_json=as_json)
