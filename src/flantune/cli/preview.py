"""``flantune preview``: prompts as the model will see them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from flantune.previewing import Preview


@click.command("preview")
@click.argument("run_file", type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting; repeatable.")
@click.option("--count", default=5, show_default=True, type=click.IntRange(1), help="How many prompts to show.")
@click.option("--start", default=0, show_default=True, type=click.IntRange(0), help="Index of the first draw.")
@click.option("--task", "only_task", help="Show prompts of this task only.")
@click.option("--fold", default=0, show_default=True, type=click.IntRange(0), help="Which fold's mixture.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Run folder, whose data is reused.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a prompt.")
def command(
    run_file: Path,
    overrides: tuple[str, ...],
    count: int,
    start: int,
    only_task: str | None,
    fold: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Show RUN_FILE's training prompts, token by token; tokens that carry loss are marked.

    On a terminal, marked tokens are green and tokens are separated by a thin bar; elsewhere marked ones stand in «».
    """
    import json

    from flantune.cli.finish import quiet_libraries

    quiet_libraries()
    from flantune.previewing import preview
    from flantune.run_file import load_run_file

    loaded = load_run_file(run_file, overrides=overrides)
    folder = out or Path("runs") / run_file.stem
    for shown in preview(loaded, out=folder, start=start, count=count, only_task=only_task, fold=fold):
        click.echo(json.dumps(shown.to_json(), ensure_ascii=False) if as_json else _as_text(shown))


def _as_text(shown: Preview) -> str:
    title = f"── draw {shown.index}: {shown.task}, row {shown.row}, template {shown.template} "
    numbers = f"── {len(shown.input_tokens)} input tokens, {len(shown.target_tokens)} with loss"
    bar = click.style("│", dim=True)
    inputs = bar.join(shown.input_tokens)
    targets = bar.join(click.style(f"«{token}»", fg="green", bold=True) for token in shown.target_tokens)
    return f"{title}{numbers}\n{inputs}{targets}\n"
