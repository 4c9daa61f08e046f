"""``flantune splits``: the papers' splits as run files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flantune.cli import options
from flantune.cli.terminal import echo_json, tell_next
from flantune.studies.paper import KINDS


@click.command("splits", epilog="Example: flantune splits run.toml --out splits")
@options.run_file
@click.option("--kind", type=click.Choice(KINDS), default=KINDS[0], show_default=True, help="Which study.")
@click.option(
    "--clusters", default="", metavar="NAME|FILE", help='Other clusters: "flan2021_clusters17" or a TOML file.'
)
@click.option("--paper-rules", is_flag=True, help="Only the paper's overlap rules, without source families.")
@click.option("--order", multiple=True, metavar="CLUSTER", help="Cluster to train on, in order; repeatable.")
@click.option("--test", multiple=True, metavar="CLUSTER", help="Cluster to measure; repeatable.")
@click.option(
    "--super-glue",
    "hide_super_glue",
    is_flag=True,
    help="Measure SuperGLUE's tasks, not whole clusters, as in the public code.",
)
@click.option(
    "--max-tasks",
    default=0,
    type=click.IntRange(0),
    help="Largest number of training tasks for --kind clusters; 0: all.",
)
@click.option("--count", "counts", multiple=True, type=click.IntRange(1), help="Number to try; repeatable.")
@click.option("--seed", default=0, show_default=True, type=options.SEED, help="Seed of all random choices.")
@options.overrides
@click.option("--out", type=options.FOLDER, help="Write one run file per split here.")
@options.as_json("the splits")
def command(
    run_file: Path, kind: str, overrides: tuple[str, ...], out: Path | None, as_json: bool, **chosen: Any
) -> None:
    """Split RUN_FILE's tasks as the FLAN paper and its code do; prints lines for a run file, or writes run files.

    Every split is checked: no task measured as unseen, nor its cluster or kin, is trained on. Splits within clusters
    break the cluster rule on purpose and say so.
    """
    from dataclasses import asdict

    from flantune.settings.run_file import load_run_file
    from flantune.studies.split_files import SplitOptions, fragment, plan_splits, write_split

    loaded = load_run_file(run_file, overrides=overrides)
    # The rest has the names of the study's own options; those not given are as in the paper.
    study_options = SplitOptions(**{name: value for name, value in chosen.items() if value})
    planned = plan_splits(loaded, kind=kind, options=study_options)
    study = planned.study
    written = [write_split(split, planned, file=loaded, folder=out) for split in study.splits] if out else []
    if as_json:
        shown = {"kind": study.kind, "splits": [asdict(split) for split in study.splits], "notes": study.notes}
        echo_json({**shown, "files": [str(path) for path in written]}, indent=1)
    elif written:
        click.echo("\n".join(map(str, written)))
    else:
        click.echo("\n".join(fragment(split, planned) for split in study.splits), nl=False)
    for note in study.notes:
        click.echo(f"note: {note}", err=True)
    if written:
        tell_next("flantune", "run", written[0])
