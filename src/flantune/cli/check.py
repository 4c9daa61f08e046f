"""``flantune check``: what can be known of a run before it trains."""

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
    """Say what would stop a run of RUN_FILE, what it would leave out and what it costs; nothing is trained.

    Looks at files, columns and every row; at templates, options and answers; at missing datasets and how much of the
    mixture they are; at folds and leaks; at test rows that also occur in training; at how the model's tokenizer cuts
    prompts; counts steps, tokens, arithmetic, memory and questions; and says how small a difference the run could find.
    With --on it says how long the run takes there. Rows that were read are kept for the run. Exit code 1: a run would
    stop at something.
    """
    from flantune.cli.checked import tell_check
    from flantune.settings.run_file import load_run_file

    loaded = load_run_file(run_file, overrides=overrides)
    tell_check(
        loaded, run_file, folder=run_folder, fold=fold, contamination=contamination, device=device, as_json=as_json
    )
