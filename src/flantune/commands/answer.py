"""The open-ended line: prompts, then one model after another, answers on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.errors import ConfigError, EvaluationError
from flantune.judging.answers import Answering, answer_prompts, read_answers, read_prompts
from flantune.settings.config import ModelSettings, PromptSettings

if TYPE_CHECKING:
    from flantune.system.progress import Reporter


def answer_with_models(
    prompts: Path, models: Sequence[str], *, out: Path, options: Mapping[str, Any], reporter: Reporter
) -> None:
    """Loads each model in turn and appends its answers to a file.

    Args:
        prompts: A text file, one prompt a line, or JSON lines.
        models: Folders or hub ids, each perhaps as NAME=PATH.
        out: The answers file.
        options: The command's options by name.
        reporter: Hears how far it is.

    Raises:
        FlantuneError: A file or model cannot be read, or two models have one name.
    """
    from flantune.evaluation.asking.answers import writer_for
    from flantune.models.load import load_model

    read = read_prompts(prompts)
    named = dict(map(named_model, models))
    if len(named) < len(models):
        hint = "give each model a name of its own: NAME=PATH"
        raise EvaluationError(f"{len(models)} models have {len(named)} names", where=", ".join(models), hint=hint)
    answering = Answering(
        max_new_tokens=options["max_new_tokens"],
        max_input_tokens=options["max_input_tokens"],
        temperature=options["temperature"],
        seed=options["seed"],
        stop=tuple(map(unescaped, options["stop"])),
        separator=unescaped(options["separator"]),
        chat=_chat(options),
    )
    for name, path in named.items():
        reporter.stage(f"{name}: load the model")
        settings = ModelSettings(path=path, device=options["device"], dtype=options["dtype"])
        lm = load_model(settings)
        writer = writer_for(lm, options["backend"])
        reporter.stage(f"{name}: {len(read)} prompts")
        reporter.step(0, len(read), f"0 of {len(read)} answers")
        written = answer_prompts(
            lm, read, model=name, answering=answering, out=out, batch_tokens=options["batch_tokens"], writer=writer,
            progress=lambda done, total: reporter.step(done, total, f"{done} of {total} answers"),
            note=reporter.note,
        )  # fmt: skip
        ids = {prompt.id for prompt in read}
        there = sum(answer.model == name and answer.id in ids for answer in read_answers(out))
        reporter.note(f"{written} answers written, {there - written} were there")


_OPTIONS = {"chat_template": "--chat-template", "system": "--system", "chat_thinking": "--thinking"}


def _chat(options: Mapping[str, Any]) -> PromptSettings | None:
    values = {name: options.get(name) for name in _OPTIONS}
    if options.get("chat"):
        return PromptSettings.model_validate({"chat": True, **values})
    for name in (name for name, value in values.items() if value not in (None, "")):
        raise ConfigError(
            "says nothing without --chat",
            where=_OPTIONS[name],
            hint="give --chat with it",
        )
    return None


def named_model(text: str) -> tuple[str, str]:
    """A model's name and where it lies.

    >>> named_model("base=runs/base/model"), named_model("runs/tuned/"), named_model("org/small")
    (('base', 'runs/base/model'), ('tuned', 'runs/tuned/'), ('small', 'org/small'))
    """
    name, separator, path = text.partition("=")
    if separator and name and path and not Path(text).exists():
        return name, path
    return Path(text).name or text, text


def unescaped(text: str) -> str:
    r"""A text from the command line, in which ``\n`` and ``\t`` stand for what they mean.

    >>> unescaped(r"\n\nQ:")
    '\n\nQ:'
    """
    return text.replace(r"\n", "\n").replace(r"\t", "\t")
