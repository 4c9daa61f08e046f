"""``flantune fetch``: hub datasets as a local mirror."""

from __future__ import annotations

from pathlib import Path

import click

from flantune.cli import options
from flantune.cli.terminal import echo_json


@click.command("fetch", epilog="Example: flantune fetch run.toml --mirror data")
@options.run_file
@click.option("--mirror", type=options.FOLDER, required=True, help="Folder for the mirror.")
@options.as_json("what was fetched")
def command(run_file: Path, mirror: Path, as_json: bool) -> None:
    """Download the hub datasets of RUN_FILE's tasks into a local mirror, for offline machines.

    Existing files are kept; repeat the command to resume. Then set `mirror` under [data] in the run file.
    """
    from flantune.cli.console import starting
    from flantune.settings.run_file import load_run_file
    from flantune.tasks.load import load_tasks
    from flantune.tasks.sources.fetch import by_hand, fetch_to_mirror

    loaded = load_run_file(run_file)
    # The definitions must point at the hub, whatever mirror the run file names.
    data = loaded.config.data.model_copy(update={"mirror": None})
    console = starting(f"fetch into {mirror}")
    tasks = load_tasks(data, root=loaded.root)
    fetched = fetch_to_mirror(tasks, mirror, progress=console.note)
    manual = by_hand(tasks, mirror)
    if as_json:
        files = [{"path": str(split.path), "was_there": split.was_there} for split in fetched]
        echo_json({"files": files, "by_hand": manual})
        return
    for split in fetched:
        click.echo(f"{split.path}  {'kept' if split.was_there else 'written'}")
    for name, how in manual.items():
        console.note(f"{name} has to be put there manually. {how}")
    if not fetched:
        console.note(
            f"nothing was fetched: no task of {run_file} has its rows on the hub in a form that can be downloaded"
        )
        return
    click.echo(f'next: set mirror = "{mirror}" under [data] in {run_file}', err=True)
