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
@options.run_folder
@options.as_json("all that was found")
def command(
    run_file: Path, overrides: tuple[str, ...], fold: int, contamination: bool, run_folder: Path | None, as_json: bool
) -> None:
    """Say what a run of RUN_FILE would stop at, what it would leave out and what it costs; nothing is trained.

    Looks at files, columns and every row; at templates, options and answers; at missing datasets and how much of the
    mixture they are; at folds and leaks; at test rows that also occur in training; at how the model's tokenizer cuts
    prompts; and counts steps, tokens, memory and questions. Rows that were read are kept for the run. Exit code 1: a
    run would stop at something.
    """
    import json

    from flantune.cli.console import starting

    console = starting()
    from flantune.commands.check import check_run_file
    from flantune.commands.check_lines import check_lines
    from flantune.settings.run_file import load_run_file

    loaded = load_run_file(run_file, overrides=overrides)
    cache = options.prepared_data(run_folder, run_file)
    check = check_run_file(loaded, cache=cache, fold=fold, contamination=contamination, reporter=console)
    if as_json:
        click.echo(json.dumps(check.to_json(), ensure_ascii=False, indent=1))
    else:
        click.echo("\n".join(check_lines(check)))
        if not check.errors:
            click.echo(f"next: flantune run {run_file}", err=True)
    click.get_current_context().exit(1 if check.errors else 0)
