"""``flantune pretrain``: training on plain text."""

from __future__ import annotations

import os
from pathlib import Path

import click

from flantune.cli import options
from flantune.cli.terminal import echo_json


@click.command("pretrain", epilog="Example: flantune pretrain examples/pretrain_base.toml --out runs/base")
@options.run_file
@options.out
@options.overrides
@options.as_json("the outcome")
def command(run_file: Path, out: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Train a model on plain text as RUN_FILE's [pretraining] section says: from scratch, or from an existing model.

    Killed or interrupted? The same command resumes where it stopped.
    """
    from flantune.cli.console import starting
    from flantune.settings.run_file import load_run_file

    loaded = load_run_file(run_file, overrides=overrides)
    console = starting()
    from flantune.commands.pretrain import pretrain
    from flantune.settings.json_file import plain

    done = pretrain(loaded, out=options.default_folder(out, run_file), reporter=console)
    if os.environ.get("RANK", "0") != "0":
        return
    if as_json:
        echo_json(plain(done))
        return
    counts, summary = done.summary.counts, done.summary
    if summary.first_loss is not None and summary.final_loss is not None:
        tokens = counts.input_tokens + counts.target_tokens
        click.echo(f"loss:  {summary.first_loss:.3f} → {summary.final_loss:.3f} nats per predicted token")
        click.echo(f"read:  {tokens:,} tokens, {done.documents:,} documents, {summary.tokens_per_s:,.0f} tokens/s")
    click.echo(f"model: {done.model}")
    click.echo(f'next:  name it in a run file: [model] path = "{done.model}"')
