"""``flantune answer``: models' answers to open-ended prompts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flantune.cli import options
from flantune.cli.terminal import echo_json, tell_next
from flantune.errors import ConfigError

if TYPE_CHECKING:
    from flantune.evaluation.asking.answers import Backend


@click.command("answer", epilog="Example: flantune answer prompts.txt base=A tuned=B --out answers.jsonl")
@click.argument("prompts", type=options.FILE)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--out", required=True, type=options.FILE, help="File for the answers (JSON lines).")
@click.option("--max-new-tokens", default=256, show_default=True, type=click.IntRange(1), help="Longest answer.")
@click.option("--max-input-tokens", default=2048, show_default=True, type=click.IntRange(2), help="Longest prompt.")
@click.option("--temperature", default=0.0, show_default=True, type=options.FiniteRange(0), help="0 is greedy.")
@click.option("--seed", default=0, show_default=True, type=options.SEED, help="Seed for sampling.")
@click.option(
    "--stop", multiple=True, metavar="TEXT", help=r"Text that ends an answer, \n for a line break; repeatable."
)
@click.option(
    "--separator",
    default=r"\n",
    show_default=True,
    help="Text between prompt and answer (decoder-only models without --chat).",
)
@options.chat
@options.device
@options.dtype
@options.batch_tokens
@options.backend
@options.as_json("what was written")
def command(
    prompts: Path,
    models: tuple[str, ...],
    out: Path,
    stop: tuple[str, ...],
    separator: str,
    device: str,
    dtype: str,
    batch_tokens: int,
    backend: Backend,
    chat: bool,
    chat_template: Path | None,
    chat_thinking: bool | None,
    system: str,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Store what each MODEL answers to PROMPTS (a text file with one per line, or .jsonl).

    A MODEL is a folder, a GGUF file or a hub id, or NAME=PATH. Repeat the command to resume where it stopped, or with
    another model to add its answers. Then rate them blind: `flantune judge FILE`.
    """
    from flantune.cli.console import starting

    console = starting()
    from flantune.commands.answer import answer_with_models
    from flantune.judging.answers import Answering
    from flantune.settings.config import ModelSettings, PromptSettings

    words = {"chat_template": chat_template, "system": system, "chat_thinking": chat_thinking}
    _check_chat(words, chat=chat)
    answering = Answering(
        stop=tuple(map(unescaped, stop)),
        separator=unescaped(separator),
        chat=PromptSettings.model_validate({"chat": True, **words}) if chat else None,
        **chosen,  # the rest has the names of its fields
    )
    named = [
        (name, ModelSettings.model_validate({"path": path, "device": device, "dtype": dtype}))
        for name, path in map(named_model, models)
    ]
    answered = answer_with_models(
        prompts, named, out=out, answering=answering, batch_tokens=batch_tokens, backend=backend, reporter=console
    )
    if as_json:
        echo_json({"path": str(out), "answers": answered})
        return
    click.echo(str(out))
    tell_next("flantune", "judge", out)


_OPTIONS = {"chat_template": "--chat-template", "system": "--system", "chat_thinking": "--thinking"}


def _check_chat(words: Mapping[str, object], *, chat: bool) -> None:
    for name in (name for name, value in words.items() if not chat and value not in (None, "")):
        raise ConfigError("has no effect without --chat", where=_OPTIONS[name], hint="add --chat")


def named_model(text: str) -> tuple[str, str]:
    """A model's name and path.

    >>> named_model("base=runs/base/model"), named_model("runs/tuned/"), named_model("org/small")
    (('base', 'runs/base/model'), ('tuned', 'runs/tuned/'), ('small', 'org/small'))
    """
    name, separator, path = text.partition("=")
    if separator and name and path and not Path(text).exists():
        return name, path
    return Path(text).name or text, text


def unescaped(text: str) -> str:
    r"""A text from the command line, with the escapes ``\n`` and ``\t`` replaced.

    >>> unescaped(r"\n\nQ:")
    '\n\nQ:'
    """
    return text.replace(r"\n", "\n").replace(r"\t", "\t")
