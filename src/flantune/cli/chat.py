"""``flantune chat``: talk to a model in the terminal."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import click

from flantune.cli import options
from flantune.cli.terminal import echo, paint
from flantune.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flantune.commands.chat import Talk

_FORMS = {
    "chat": "in its chat template",
    "turns": "with turns of plain text, User: and Assistant:",
    "alone": "with each message by itself, like a task's prompt",
}


@click.command("chat", epilog="Example: flantune chat runs/mine/folds/nothing-held-out/model --temperature 0.7")
@click.argument("model")
@click.option(
    "--as",
    "form",
    type=click.Choice(list(_FORMS)),
    help="How messages are sent: in the chat template; as turns of plain text; or each by itself, like a task's prompt"
    " [default: chat if the model has a template, else alone].",
)
@click.option("--system", default="", metavar="TEXT", help="System message.")
@click.option("--chat-template", type=options.FILE, help="Chat template to use instead of the model's.")
@click.option(
    "--thinking/--no-thinking",
    "chat_thinking",
    default=None,
    help="Tell the template whether the model thinks before a reply [default: unset].",
)
@click.option("--temperature", default=0.0, show_default=True, type=options.FiniteRange(0), help="0 is greedy.")
@click.option("--seed", default=0, show_default=True, type=options.SEED, help="Seed for sampling.")
@click.option("--max-new-tokens", default=512, show_default=True, type=click.IntRange(1), help="Longest reply.")
@click.option(
    "--max-input-tokens",
    default=2048,
    show_default=True,
    type=click.IntRange(2),
    help="Longest conversation; beyond that the oldest turns are dropped.",
)
@options.device
@options.dtype
def command(model: str, device: str, dtype: str, chat_template: Path | None, **chosen: Any) -> None:
    """Talk to MODEL: a folder, a GGUF file or a hub id, such as the model that a run has tuned.

    On a terminal, /new starts a new conversation, Ctrl-C stops a reply, and /quit or Ctrl-D ends the program. Otherwise
    each line of input is a message, and only the replies are printed.
    """
    from flantune.cli.console import starting

    console = starting()
    from flantune.commands.chat import Talk, Talking
    from flantune.models.arithmetic import slow_arithmetic
    from flantune.models.load import load_model
    from flantune.settings.config import ModelSettings

    with _ending_at_once():
        console.stage(f"load the model {model}")
        lm = load_model(ModelSettings.model_validate({"path": model, "device": device, "dtype": dtype}))
        if slow := slow_arithmetic(lm.compute_dtype, lm.device):
            console.note(slow)
        talk = Talk(lm, Talking(chat_template=chat_template, **chosen))
        for note in talk.notes:
            console.note(note)
        console.stage(f"ready; the model is asked {_FORMS[talk.form]} (--as)")
        console.rest()
        _converse(talk, is_terminal=sys.stdin.isatty())


@contextlib.contextmanager
def _ending_at_once() -> Iterator[None]:
    """Ctrl-C outside a reply ends the program; unlike in other commands, there is nothing to resume."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        raise click.exceptions.Exit(130) from None


def _converse(talk: Talk, *, is_terminal: bool) -> None:
    if is_terminal:
        with contextlib.suppress(ImportError):  # line editing and history, if Python has it
            import readline  # noqa: F401
    while (line := _next_line(is_terminal=is_terminal)) is not None:
        message = line.strip()
        if is_terminal and message in ("/quit", "/exit"):
            return
        if is_terminal and message == "/new":
            talk.begin_again()
            echo(paint("new conversation", dim=True), err=True)
        elif message:
            talk.reply(message, heard=_print)
            click.echo()


def _next_line(*, is_terminal: bool) -> str | None:
    """The next line of the input; None at its end.

    Raises:
        SourceError: It is not UTF-8.
    """
    try:
        line = input("\n> ") if is_terminal else sys.stdin.readline()
        line.encode()  # in some locales, Python reads other bytes as halves of characters
    except EOFError:
        click.echo(err=True)
        return None
    except UnicodeError as error:
        where = "standard input"
        raise SourceError("is not text in UTF-8", where=where, hint="convert it to UTF-8, say with iconv") from error
    return line if line or is_terminal else None


def _print(piece: str) -> None:
    click.echo(piece, nl=False)
    sys.stdout.flush()
