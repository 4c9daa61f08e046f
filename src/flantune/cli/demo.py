"""``flantune demo``: the whole line on the embedded micro-world."""

from __future__ import annotations

from pathlib import Path

import click

from flantune.cli import options
from flantune.cli.terminal import echo_json, tell_next

_FAMILIES = {"decoder-only": "decoder_only.toml", "encoder-decoder": "encoder_decoder.toml"}


@click.group("demo", invoke_without_command=True, epilog="Example: flantune demo --family decoder-only")
@click.option(
    "--out", type=options.FOLDER, default=Path("demo-run"), show_default=True, help="Folder for everything it writes."
)
@click.option(
    "--family", type=click.Choice([*_FAMILIES, "both"]), default="both", show_default=True, help="Which models."
)
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Seed of the run, not of the world.")
@options.overrides
@options.as_json("the results, one per model family,")
@click.pass_context
def command(
    context: click.Context, out: Path, family: str, seed: int, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Make a small world of tasks, tune tiny models on some kinds of task, measure them on the others.

    Offline, a few minutes on two cores. The world, its task files and its run files are written below --out, for you
    to read, copy and change.
    """
    if context.invoked_subcommand is not None:
        return

    from flantune.cli.console import starting
    from flantune.cli.finish import tell
    from flantune.demo.write import write_demo
    from flantune.settings.run_file import load_run_file

    console, all_results = starting(), []
    world = write_demo(out / "world", seed=0)
    chosen = list(_FAMILIES) if family == "both" else [family]
    for name in chosen:
        click.echo(f"── {name} ──", err=True)
        loaded = load_run_file(world / _FAMILIES[name], overrides=[f"seed={seed}", *overrides])
        from flantune.commands.run import run

        finished = run(loaded, out=out / name, reporter=console)
        all_results.append(finished.results)
        if not as_json:
            tell(finished.results, finished.folder)
    if as_json:
        from flantune.settings.json_file import plain

        echo_json(plain(all_results))
        return
    click.echo(f"change:  {world}/*.toml are ordinary run files: flantune run {world / _FAMILIES[chosen[0]]}")


@command.command(
    short_help="Write the text that the demo's base models are pretrained on.",
    epilog="Example: flantune demo text pretraining",
)
@click.argument("folder", type=options.FOLDER)
@click.option(
    "--documents", type=options.COUNT, default=300_000, show_default=True, help="How many short documents to write."
)
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Seed of text and weights.")
@options.as_json("where text and run files are")
def text(folder: Path, documents: int, seed: int, as_json: bool) -> None:
    """Write into FOLDER what the demo's base models are pretrained from.

    That is the world's text, two untrained models with their tokenizer, and run files for `flantune pretrain`: two for
    the text, two for the questions that are read after it.
    """
    from flantune.cli.console import starting

    starting()
    from flantune.demo.start import write_start
    from flantune.demo.write import RUN_NAMES

    write_start(folder, documents=documents, seed=seed)
    run_files = {name: str(folder / f"pretrain_{name}.toml") for name in RUN_NAMES.values()}
    if as_json:
        echo_json({"text": str(folder / "text"), "run_files": run_files})
        return
    click.echo(f"text:  {folder / 'text'}")
    for name, file in run_files.items():
        tell_next("flantune", "pretrain", file, "--out", folder / "base" / name)
        tell_next("flantune", "pretrain", folder / f"questions_{name}.toml", "--out", folder / "asked" / name)


@command.command(
    short_help="Say which skills a base model of the demo has.",
    epilog="Example: flantune demo probe pretraining/asked/decoder_only/model",
)
@click.argument("model", type=options.OLD_FOLDER)
@click.option("--items", type=click.IntRange(1), default=200, show_default=True, help="Items a skill.")
@options.as_json("every skill")
def probe(model: Path, items: int, as_json: bool) -> None:
    """Say which skills a base model of the demo has, by plain text of its world: no instruction, no template.

    Tuning cannot call up what the base lacks: clusters of tasks that rest on a missing skill are named.
    """
    from flantune.cli.console import starting

    starting()
    from flantune.demo.skills import lacking, measure
    from flantune.models.load import load_model

    skills = measure(load_model(model), count=items)
    missing = lacking(skills)
    if as_json:
        from flantune.settings.json_file import plain

        found = [plain(one) | {"least": one.least, "is_there": one.is_there} for one in skills]
        echo_json({"skills": found, "lacking": missing})
        return
    width = max(len(one.name) for one in skills)
    click.echo(f"{'skill':{width}} chance right")
    for one in skills:
        click.echo(
            f"{one.name:{width}} {one.chance:6.0%} {one.right:5.0%}{'' if one.is_there else '  not above chance'}"
        )
    for cluster, names in missing.items():
        click.echo(f"{cluster}: rests on {' and '.join(names)}, which this model lacks; tuning can hardly move it")
    if not missing:
        click.echo("Every skill that a held-out cluster needs is clearly above chance.")
