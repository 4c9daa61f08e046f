"""``flantune demo``: the whole line on the embedded micro-world."""

from __future__ import annotations

from pathlib import Path

import click

from flantune.cli import options

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
    import json

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

        click.echo(json.dumps(plain(all_results), ensure_ascii=False))
        return
    click.echo(f"change:  {world}/*.toml are ordinary run files: flantune run {world / _FAMILIES[chosen[0]]}")


@command.command(
    short_help="Build a base model of the demo from scratch.",
    epilog="Example: flantune demo pretrain --family decoder-only --out base",
)
@click.option("--family", type=click.Choice(list(_FAMILIES)), required=True, help="Which model.")
@click.option("--out", type=options.FOLDER, required=True, help="Folder for the base model.")
@click.option(
    "--text", type=click.Path(path_type=Path), multiple=True, help="File or folder to read instead of the demo's text."
)
@click.option("--tokens", type=click.IntRange(1), help="Tokens of plain text to read [default: 24,000,000].")
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Seed of weights and text.")
@options.as_json("where the model is")
def pretrain(family: str, out: Path, text: tuple[Path, ...], tokens: int | None, seed: int, as_json: bool) -> None:
    """Build a base model of the demo from scratch: text, tokenizer, weights. Repeat the command to resume."""
    import json

    from flantune.cli.console import starting

    starting()
    from flantune.demo.pretrain import main

    arguments = ["--family", family, "--out", str(out), "--seed", str(seed)]
    arguments += ["--tokens", str(tokens)] if tokens is not None else []
    arguments += ["--text", *map(str, text)] if text else []
    main(arguments)
    click.echo(json.dumps({"model": str(out / "model")}, ensure_ascii=False) if as_json else str(out / "model"))
