"""``flantune push``: uploads a tuned model to the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flantune.cli import options
from flantune.cli.terminal import echo_json

if TYPE_CHECKING:
    from flantune.commands.push import Parcel


@click.command("push", epilog="Example: flantune push runs/run/folds/sentiment/model me/my-model --license apache-2.0")
@click.argument("model", type=options.OLD_FOLDER)
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--public", "is_public", is_flag=True, help="Readable by everyone [default: a private repository].")
@click.option(
    "--license", "license_", metavar="ID", default="", help='License for the uploaded card, such as "apache-2.0".'
)
@click.option("--base-model", metavar="ID", default="", help="Hub id of the base model, if it was a local folder.")
@click.option("--message", metavar="TEXT", default="", help="Commit message.")
@click.option("--dry-run", is_flag=True, help="List the files that would be uploaded; contacts nobody.")
@options.as_json("what was uploaded")
def command(
    model: Path,
    repo: str,
    is_public: bool,
    license_: str,
    base_model: str,
    message: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Upload the tuned MODEL to the Hugging Face hub: weights, tokenizer, model card, and the training record.

    All files arrive in one commit. A new repository is private. --license and --base-model change the uploaded card,
    and not the one in the folder. You need a token with write access: `hf auth login`, or HF_TOKEN.
    """
    from flantune.cli.console import starting

    console = starting("read the folder")
    from flantune.commands.push import parcel, send

    wanted = parcel(model, repo, license_id=license_, base_model=base_model)
    for note in wanted.notes:
        console.note(note)
    if wanted.left_out:
        console.note(f"not sent: {', '.join(wanted.left_out)}")
    if dry_run:
        _tell(wanted, as_json=as_json)
        return
    sent = send(wanted, is_public=is_public, message=message, reporter=console)
    if as_json:
        found = {"url": sent.url, "commit": sent.commit, "private": sent.is_private, "files": _files(wanted)}
        echo_json(found)
        return
    click.echo(sent.url)
    click.echo(f"commit {sent.commit}, {'private' if sent.is_private else 'public'}", err=True)


def _tell(wanted: Parcel, *, as_json: bool) -> None:
    if as_json:
        echo_json({"repo": wanted.repo, "files": _files(wanted)})
        return
    for file in wanted.files:
        changed = "  (changed)" if file.text is not None else ""
        click.echo(f"{file.size:>15,}  {file.name}{changed}")
    click.echo(f"{wanted.size:>15,}  bytes in all, to {wanted.repo}; nothing was sent", err=True)


def _files(wanted: Parcel) -> list[dict[str, object]]:
    return [{"name": file.name, "bytes": file.size} for file in wanted.files]
