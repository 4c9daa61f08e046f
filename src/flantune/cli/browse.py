"""``flantune tasks browse``: a page for browsing tasks and their templates."""

from __future__ import annotations

from pathlib import Path

import click

from flantune.cli import options
from flantune.cli.terminal import echo_json


@click.command(
    "browse",
    short_help="Write one page to browse tasks and templates.",
    epilog="Example: flantune tasks browse run.toml --out tasks.html",
)
@options.run_file_or_none
@click.option("--collection", "names", multiple=True, metavar="NAME", help="A shipped collection; repeatable.")
@click.option(
    "--out",
    default=Path("tasks.html"),
    show_default=True,
    type=options.FILE,
    help="The page to write.",
)
@options.as_json("what was written")
def command(run_file: Path | None, names: tuple[str, ...], out: Path, as_json: bool) -> None:
    """Write a page to browse RUN_FILE's tasks, or those of shipped collections (by default flan2021).

    It shows every dataset by cluster and every template with a rendered row, and has a search box. It is one
    self-contained file.
    """
    if run_file is not None and names:
        raise click.UsageError("give a run file or --collection, not both")

    from flantune.cli.console import starting

    starting("read the tasks")
    from flantune.mixture.taxonomy import load_taxonomy
    from flantune.report.collection_page import shipped_rows, write_collection_page
    from flantune.settings.config import DataSettings
    from flantune.settings.run_file import load_run_file
    from flantune.tasks.load import load_tasks

    if run_file is not None:
        loaded = load_run_file(run_file)
        data, root, title = loaded.config.data, loaded.root, loaded.config.name
        taxonomy = load_taxonomy(loaded.config.holdout.taxonomy)
    else:
        chosen = tuple(dict.fromkeys(names)) or ("flan2021",)
        data, root, title, taxonomy = DataSettings(collection=chosen), Path(), " + ".join(chosen), load_taxonomy(None)
    tasks = load_tasks(data, root=root)
    page = write_collection_page(tasks, shipped_rows(tasks), out, title=title, taxonomy=taxonomy)
    if as_json:
        echo_json({"page": str(page), "tasks": len(tasks)})
        return
    click.echo(str(page))
    click.echo("next: open the page in a browser", err=True)
