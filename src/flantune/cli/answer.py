"""``flantune answer``: what models write to open-ended prompts."""

from __future__ import annotations

from pathlib import Path

import click

from flantune.cli import options


@click.command("answer", epilog="Example: flantune answer prompts.txt base=A tuned=B --out answers.jsonl")
@click.argument("prompts", type=options.FILE)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--out", required=True, type=options.FILE, help="The answers, JSON lines.")
@click.option("--max-new-tokens", default=256, show_default=True, type=click.IntRange(1), help="Longest answer.")
@click.option("--max-input-tokens", default=2048, show_default=True, type=click.IntRange(2), help="Longest prompt.")
@click.option("--temperature", default=0.0, show_default=True, type=options.FiniteRange(0), help="0 is greedy.")
@click.option(
    "--seed", default=0, show_default=True, type=options.SEED, help="Names the draws when the temperature is above 0."
)
@click.option(
    "--stop", multiple=True, metavar="TEXT", help=r"Text that ends an answer, \n for a line break; repeatable."
)
@click.option(
    "--separator",
    default=r"\n",
    show_default=True,
    help="Between prompt and answer (decoder-only models without --chat).",
)
@options.chat
@options.device
@options.dtype
@options.batch_tokens
@options.backend
def command(prompts: Path, models: tuple[str, ...], out: Path, **chosen: object) -> None:
    """Write down what each MODEL answers to PROMPTS (a text file, one a line, or .jsonl).

    A MODEL is a folder or hub id, or NAME=PATH. Repeat the command to go on where it stopped, or with another model
    to add its answers. Then rate them blind: `flantune judge FILE`.
    """
    from flantune.cli.console import starting
    from flantune.cli.finish import quiet_libraries

    quiet_libraries()
    console = starting()
    from flantune.commands.answer import answer_with_models

    answer_with_models(prompts, models, out=out, options=chosen, reporter=console)
    click.echo(str(out))
    click.echo(f"next: flantune judge {out}", err=True)
