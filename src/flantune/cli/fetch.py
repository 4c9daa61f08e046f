"""``flantune fetch``: hub datasets as a local mirror."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("fetch")
@click.argument("run_file", type=click.Path(path_type=Path))
@click.option(
    "--mirror", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to lay the mirror in."
)
def command(run_file: Path, mirror: Path) -> None:
    """Download the hub datasets of RUN_FILE's tasks into a local mirror, for machines without network.

    What is already there is kept; repeat the command to go on. Then set `mirror` under [data] in the run file.
    """
    from flantune.cli.console import Console
    from flantune.run_file import load_run_file
    from flantune.tasks.fetch import by_hand, fetch_to_mirror
    from flantune.tasks.load import load_tasks

    loaded = load_run_file(run_file)
    # The definitions must point at the hub, whatever mirror the run file names.
    data = loaded.config.data.model_copy(update={"mirror": None})
    console = Console()
    console.stage(f"fetch into {mirror}")
    tasks = load_tasks(data, root=loaded.root)
    for split in fetch_to_mirror(tasks, mirror, progress=console.note):
        click.echo(f"{split.path}  {'kept' if split.was_there else 'written'}")
    for name, how in by_hand(tasks, mirror).items():
        console.note(f"{name} has to be put there by hand. {how}")
    click.echo(f'next: set mirror = "{mirror}" under [data] in {run_file}', err=True)
