"""``flantune study``: a run file in several variants, run and compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flantune.cli import options
from flantune.cli.terminal import echo_json

if TYPE_CHECKING:
    from flantune.commands.study import ExpandedStudy, RanStudy
    from flantune.system.engines import Engine
    from flantune.system.progress import Reporter

_MOST_REASONS = 5


def _list_studies(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001
    if not value or ctx.resilient_parsing:
        return
    from flantune.settings.run_file import flatten
    from flantune.studies.catalog import STUDIES

    for named in STUDIES.values():
        click.echo(f"{named.name}: {named.help}")
        for key, default in flatten(named.options.model_construct()):
            meaning = " ".join((named.options.model_fields[key].description or "").split())
            click.echo(f"    --option {key}={json.dumps(default, default=str)}  {meaning}")
    ctx.exit()


@click.command("study", epilog="Example: flantune study leave-one-cluster-out run.toml --seeds 3 --dry-run")
@click.argument("study", metavar="NAME|FILE")
@options.run_file
@click.option(
    "--seeds", type=click.IntRange(1, 1000), default=1, show_default=True, help="Number of seeds for every arm."
)
@click.option(
    "--dry-run", is_flag=True, help="Show the arms, what differs, which runs exist and what the rest would cost."
)
@click.option("--so-far", is_flag=True, help="Run nothing: draw conclusions from the existing runs.")
@options.planned_device
@click.option("--out", type=options.FOLDER, help="Folder of the study [default: studies/<file name>-<study>].")
@click.option("--jobs", type=click.IntRange(1, 4096), default=1, show_default=True, help="Number of runs at a time.")
@click.option(
    "--engine",
    "engine_name",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="What makes the runs: processes on this machine, or Ray (needs the extra `ray`).",
)
@click.option(
    "--option", "chosen", multiple=True, metavar="KEY=VALUE", help="An option of a named study; repeatable. See --list."
)
@click.option(
    "--list", is_flag=True, is_eager=True, callback=_list_studies, expose_value=False, help="List the studies."
)
@options.overrides
@options.as_json("the outcome")
def command(
    study: str,
    run_file: Path,
    seeds: int,
    dry_run: bool,
    so_far: bool,
    device: str,
    out: Path | None,
    jobs: int,
    engine_name: str,
    chosen: tuple[str, ...],
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run RUN_FILE in several variants, each with several seeds, and compare them.

    NAME is one of the papers' studies (--list), FILE a TOML file with your own arms. The arms, the comparison and the
    seeds are recorded before the first run. Every run is an ordinary run folder; what several of them share is computed
    once. Killed or interrupted? The same command resumes where it stopped.

    Exit code 1: a run failed; the others are complete.
    """
    if so_far and dry_run:
        raise click.UsageError("--so-far reads the existing runs, --dry-run plans the missing ones: choose one")
    if device and not dry_run:
        raise click.UsageError("--on goes with --dry-run: a run itself takes the device that model.device names")
    from flantune.cli.console import starting
    from flantune.settings.run_file import load_run_file, parse_override

    loaded = load_run_file(run_file, overrides=overrides)
    console = starting()
    from flantune.commands.study import expand_study

    expanded = expand_study(
        study,
        loaded,
        out=out or Path("studies") / f"{options.name_of_run(run_file)}-{Path(study).stem}",
        seeds=seeds,
        options=dict(parse_override(one, where="--option") for one in chosen),
    )
    if dry_run:
        _tell_plan(expanded, device=device, as_json=as_json, reporter=console)
        return
    _run(expanded, engine_name=engine_name, jobs=jobs, so_far=so_far, as_json=as_json, reporter=console)


def _tell_plan(expanded: ExpandedStudy, *, device: str, as_json: bool, reporter: Reporter) -> None:
    from flantune.commands.study_cost import study_cost
    from flantune.commands.study_lines import study_json, study_lines

    cost = study_cost(expanded, device=device or "here", reporter=reporter)
    if as_json:
        echo_json(study_json(expanded, cost), indent=1)
    else:
        click.echo("\n".join(study_lines(expanded, cost)))
        click.echo("next: the same command without --dry-run", err=True)


def _run(
    expanded: ExpandedStudy, *, engine_name: str, jobs: int, so_far: bool, as_json: bool, reporter: Reporter
) -> None:
    from flantune.commands.study import run_study
    from flantune.settings.json_file import plain

    engine = _engine(engine_name, jobs, reporter)
    ran = run_study(expanded, engine=engine, workers=jobs, so_far=so_far, reporter=reporter)
    if as_json:
        echo_json(plain(ran.outcome))
    else:
        _tell(ran)
    _tell_failed(ran)
    click.get_current_context().exit(1 if any(one.error for one in ran.receipts) else 0)


def _engine(name: str, jobs: int, reporter: Reporter) -> Engine:
    from flantune.system.engines import LocalEngine, RayEngine

    if name == "ray":
        return RayEngine(workers=jobs, at_once=jobs, takes_gpu=True)
    return LocalEngine(workers=jobs, note=reporter.note)


def _tell(ran: RanStudy) -> None:
    from flantune.cli.terminal import show
    from flantune.report.console import study_table
    from flantune.report.sentences import typeset

    outcome, folder = ran.outcome, ran.expanded.folder
    show(study_table(outcome))
    for sentence in (outcome.verdict.text, *outcome.verdict.notes):
        click.echo(typeset(sentence))
    click.echo(f"report:  {folder.report}")
    click.echo(f"figures: {folder.figures}")
    click.echo(f"outcome: {folder.outcome}, {folder.table}")
    click.echo("next:    open the report in a browser")


def _tell_failed(ran: RanStudy) -> None:
    """Prints why runs failed, each reason once; those that only wait for another run are counted."""
    reasons: dict[str, list[str]] = {}
    for one in ran.receipts:
        if one.error:
            reasons.setdefault(one.reason, []).append(ran.expanded.runs[one.number].label)
    for reason, runs in list(reasons.items())[:_MOST_REASONS]:
        more = f" (and {len(runs) - 1} more)" if len(runs) > 1 else ""
        click.echo(f"error: {runs[0]}{more}: {reason}", err=True)
    if len(reasons) > _MOST_REASONS:
        click.echo(f"and {len(reasons) - _MOST_REASONS} more; outcome.json lists all", err=True)
