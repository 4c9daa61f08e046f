"""``flantune check``: what can be checked before a run trains."""

from __future__ import annotations

from pathlib import Path

import click

from flantune.cli import options


@click.command("check", epilog="Example: flantune check run.toml")
@options.run_file
@options.overrides
@options.fold
@click.option(
    "--contamination/--no-contamination", default=True, help="Compare test rows with training rows [default: do]."
)
@options.planned_device
@options.run_folder
@options.as_json("all that was found")
def command(
    run_file: Path,
    overrides: tuple[str, ...],
    fold: int,
    contamination: bool,
    device: str,
    run_folder: Path | None,
    as_json: bool,
) -> None:
    """Say what would stop a run of RUN_FILE, what it would leave out and what it would cost; nothing is trained.

    Checks files, columns and every row; templates, options and answers; missing datasets and their share of the
    mixture; folds and leaks; test rows that also occur in training; and how the model's tokenizer handles prompts.
    Counts steps, tokens, arithmetic, memory and questions, and estimates the smallest difference that the run could
    detect. With --on it also says how long the run would take there. Rows that were read are cached for the run. Exit
    code 1: something would stop the run.
    """
    from flantune.cli.checked import tell_check
    from flantune.settings.run_file import load_run_file

    loaded = load_run_file(run_file, overrides=overrides)
    tell_check(
        loaded, run_file, folder=run_folder, fold=fold, contamination=contamination, device=device, as_json=as_json
    )
