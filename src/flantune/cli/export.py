"""``flantune export``: a run's data and models for other programs."""

from __future__ import annotations

import json
from pathlib import Path

import click

from flantune.cli import options
from flantune.cli.terminal import echo_json, tell_next


@click.group("export")
def command() -> None:
    """Write training data or tuned models in formats that other programs read."""


@command.command(
    "data",
    short_help="Training prompts, in the order a run draws them.",
    epilog="Example: flantune export data run.toml --count 10000 --out data.jsonl",
)
@options.run_file
@click.option("--out", type=options.FILE, required=True, help="File to write.")
@click.option(
    "--count",
    type=options.COUNT,
    help="Number of draws [default: one cycle, in which each task has exactly its share].",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "parquet", "chat"]),
    help="File format [default: by the file's name: .parquet, .chat.jsonl, else jsonl].",
)
@click.option(
    "--part", "parts", multiple=True, metavar="NAME", help="Only this part of the mixture (mixture.only); repeatable."
)
@click.option("--commercial", is_flag=True, help='Only tasks free for commercial use: data.licences = "commercial".')
@click.option("--language", "languages", multiple=True, metavar="NAME", help="Only this language; repeatable.")
@options.fold
@options.start
@options.run_folder
@options.overrides
@options.as_json("what was written")
def data(
    run_file: Path,
    out: Path,
    count: int | None,
    form: str | None,
    parts: tuple[str, ...],
    commercial: bool,
    languages: tuple[str, ...],
    fold: int,
    start: int,
    run_folder: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write training prompts of RUN_FILE's mixture, in the order a run would draw them, each with its provenance.

    The same seed gives the same bytes. No model is loaded. Tasks left out by --part, --commercial or --language have no
    share in the mixture, so the others have more.
    """
    from flantune.cli.console import starting

    console = starting()
    from flantune.commands.export import export, format_of
    from flantune.settings.run_file import load_run_file

    narrowed = [
        *([f"mixture.only={json.dumps(parts)}"] if parts else []),
        *(['data.licences="commercial"'] if commercial else []),
        *([f"data.languages={json.dumps(languages)}"] if languages else []),
    ]
    loaded = load_run_file(run_file, overrides=(*overrides, *narrowed))
    exported = export(
        loaded,
        path=out,
        count=count,
        form=format_of(out) if form is None else form,  # type: ignore[arg-type]
        fold=fold,
        start=start,
        cache=options.prepared_data(run_folder, run_file),
        progress=lambda done, total: console.step(done, total, f"{done:,} of {total:,} rows"),
    )
    for name, reason in exported.skipped.items():
        console.note(f"{name} is left out: {reason}")
    if as_json:
        licences = dict(exported.licences)
        echo_json({"path": str(out), "rows": exported.rows, "licences": licences})
        return
    click.echo(str(out))
    for licence, rows in exported.licences.items():
        click.echo(f"  {rows:,} rows under: {licence or 'no stated licence'}", err=True)
    click.echo("next: check the licences above before you share the file", err=True)


@command.command(
    "gguf",
    short_help="A tuned model as one GGUF file, for llama.cpp.",
    epilog="Example: flantune export gguf runs/run/folds/sentiment/model --like base.gguf --out tuned.gguf",
)
@click.argument("model", type=options.OLD_FOLDER)
@click.option("--like", type=options.FILE, required=True, help="The GGUF file that the model was tuned from.")
@click.option("--out", type=options.FILE, required=True, help="File to write.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(["f32", "f16", "bf16", "q8_0"]),
    default="bf16",
    show_default=True,
    help="How weights are stored; norms stay f32.",
)
@options.as_json("what was written")
def gguf(model: Path, like: Path, out: Path, kind: str, as_json: bool) -> None:
    """Write the tuned MODEL as a GGUF file; tokenizer, chat template and settings come from the original one.

    The file is read back and compared weight by weight before it gets its final name. The record of what the model was
    trained on is copied to FILE.flantune.json and FILE.training_rows.npz: keep the three together.
    """
    from flantune.cli.console import starting

    console = starting()
    from flantune.commands.export_model import export_gguf

    written = export_gguf(model, out, like=like, kind=kind, reporter=console)
    if as_json:
        echo_json({"path": str(written), "bytes": written.stat().st_size})
        return
    click.echo(str(written))
    tell_next("llama-cli", "-m", out)


@command.command(
    "model",
    short_help="A tuned model as one folder: adapters merged, optionally in bfloat16.",
    epilog="Example: flantune export model runs/run/folds/sentiment/model --dtype bfloat16 --out tuned",
)
@click.argument("model", type=options.OLD_FOLDER)
@click.option("--out", type=options.FOLDER, required=True, help="Folder to write.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="How weights are stored; bfloat16 takes half the space and rounds them.",
)
@options.as_json("what was written")
def model_folder(model: Path, out: Path, dtype: str, as_json: bool) -> None:
    """Write the tuned MODEL as an ordinary Hugging Face folder, with a low-rank adapter merged into the weights.

    The merged model is compared with the unmerged one. The model card and the record of what it was trained on are
    included. transformers, vLLM and others load the folder, and `flantune push FOLDER OWNER/NAME` uploads it.
    """
    from flantune.cli.console import starting

    console = starting()
    from flantune.commands.export_model import export_model

    written = export_model(model, out, dtype=dtype, reporter=console)  # type: ignore[arg-type]
    if as_json:
        echo_json({"path": str(written)})
        return
    click.echo(str(written))
    tell_next("flantune", "chat", out)
