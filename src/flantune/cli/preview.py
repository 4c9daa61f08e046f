"""``flantune preview``: prompts as the model will see them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flantune.cli import options
from flantune.cli.terminal import echo, echo_json, paint

if TYPE_CHECKING:
    from flantune.commands.preview import Preview


@click.command("preview", epilog="Example: flantune preview run.toml --task rte --count 2")
@options.run_file
@options.overrides
@click.option("--count", default=5, show_default=True, type=click.IntRange(1), help="How many prompts to show.")
@options.start
@click.option("--task", "only_task", metavar="TASK", help="Show prompts of this task only.")
@options.fold
@options.run_folder
@options.as_json("each prompt")
def command(
    run_file: Path,
    overrides: tuple[str, ...],
    count: int,
    start: int,
    only_task: str | None,
    fold: int,
    run_folder: Path | None,
    as_json: bool,
) -> None:
    """Show RUN_FILE's training prompts, token by token; tokens that carry loss are marked.

    On a terminal, marked tokens are green and tokens are separated by a thin bar; elsewhere marked ones are in «».
    """
    from flantune.cli.console import starting

    starting()
    from flantune.commands.preview import preview
    from flantune.settings.run_file import load_run_file

    loaded = load_run_file(run_file, overrides=overrides)
    cache = options.prepared_data(run_folder, run_file)
    prompts = preview(
        loaded,
        cache=cache,
        start=start,
        count=count,
        only_task=only_task,
        fold=fold,
        note=lambda said: echo(f"note: {said}", err=True),
    )
    for shown in prompts:
        if as_json:
            echo_json(shown.to_json())
        else:
            echo(*_pieces(shown))


def _pieces(shown: Preview) -> Iterator[str]:
    title = f"── draw {shown.index}: {shown.task}, row {shown.row}, template {shown.template} "
    numbers = f"── {len(shown.input_tokens)} input tokens, {len(shown.target_tokens)} with loss"
    yield f"{title}{numbers}\n"
    for tokens in (shown.input_tokens, [paint(f"«{token}»", fg="green", bold=True) for token in shown.target_tokens]):
        for at, token in enumerate(tokens):
            if at:
                yield paint("│", dim=True)
            yield token
    yield "\n"
