"""Answers of several models to prompts: one line per answer, appended as they are generated."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.errors import EvaluationError, SourceError
from flantune.settings.json_file import read_lines
from flantune.system.files import read_text

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel
    from flantune.models.writing.decoding import Writer
    from flantune.packing.encode import Codec
    from flantune.settings.config import PromptSettings
    from flantune.types import Prompt

_TEXT_KEYS = ("prompt", "inputs", "instruction", "question", "text")
_KEEP_EVERY_SECONDS = 2.0
_VERSION = 2
"""Part of every answer's settings: increase it when the same prompts and weights would give other answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPrompt:
    """One prompt.

    Attributes:
        id: Its id: the file's ``id``, or its number from 1.
        text: The text given to the models.
    """

    id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """How answers are generated; part of each answer's line, so that one file does not mix different settings.

    Attributes:
        max_new_tokens: Longest answer.
        temperature: 0 is greedy.
        seed: Seed of the draws.
        stop: Texts that end an answer.
        separator: Text between a prompt and its answer, for decoder-only models.
        max_input_tokens: Longest prompt; the middle of a longer one is left out.
        chat: Chat template with its system message; None: the prompt as it is.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    separator: str = "\n"
    max_input_tokens: int = 2_048
    chat: PromptSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One line of an answers file.

    Attributes:
        id: The prompt's id.
        prompt: The prompt's text.
        model: The model's name.
        answer: The model's answer.
        finish: Why it ended: "eos", "stop" or "length".
        tokens: Number of generated tokens.
        settings: Digest of the settings.
    """

    id: str
    prompt: str
    model: str
    answer: str
    finish: str = "eos"
    tokens: int = 0
    settings: str = ""


def read_prompts(path: Path) -> tuple[OpenPrompt, ...]:
    """Prompts of a text file (one per line) or of a ``.jsonl`` file.

    A JSON line is a text, or an object with the text under "prompt" (or "inputs", "instruction", "question", "text")
    and optionally an "id".

    Raises:
        SourceError: The file cannot be read, has no prompts, or gives two prompts the same id.
    """
    lines = read_text(path, error=SourceError, what="file of prompts", hint="UTF-8, one prompt a line").split("\n")
    read = _json_prompt if path.suffix in (".jsonl", ".ndjson") else _text_prompt
    prompts = tuple(read(line, number, path) for number, line in enumerate(lines, start=1) if line.strip())
    if not prompts:
        raise SourceError("holds no prompt", where=str(path), hint="write one prompt a line")
    seen: set[str] = set()
    for prompt in prompts:
        if prompt.id in seen:
            raise SourceError(f'two prompts have the id "{prompt.id}"', where=str(path), hint="give each its own id")
        seen.add(prompt.id)
    return prompts


def _text_prompt(line: str, number: int, path: Path) -> OpenPrompt:  # noqa: ARG001
    return OpenPrompt(id=str(number), text=line.strip("\r"))


def _json_prompt(line: str, number: int, path: Path) -> OpenPrompt:
    where = f"{path}:{number}"
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"is not JSON: {error}", where=where, hint="one JSON object a line") from None
    if isinstance(found, str):
        return OpenPrompt(id=str(number), text=found)
    text = next((found[key] for key in _TEXT_KEYS if key in found), None) if isinstance(found, dict) else None
    if not isinstance(text, str) or not text.strip():
        hint = f'put the text under "{_TEXT_KEYS[0]}"'
        raise SourceError(f"holds no prompt under {', '.join(_TEXT_KEYS)}", where=where, hint=hint)
    return OpenPrompt(id=str(found.get("id", number)), text=text)


def read_answers(path: Path) -> tuple[Answer, ...]:
    """The answers of a file, in its order; a last line that was cut off by a crash is ignored.

    Only "prompt", "model" and "answer" are required, so answers from other programs can be judged too.

    Raises:
        SourceError: The file cannot be read, a line is not an answer, or a model answers a prompt twice.
    """
    mends = 'each line needs "prompt", "model" and "answer"; `flantune answer` writes such a file'
    found: dict[tuple[str, str], Answer] = {}
    for where, answer in read_lines(path, Answer, mends=mends, what="no answer", prepare=_named):
        if (answer.id, answer.model) in found:
            hint = "keep one of the two lines"
            raise SourceError(f'"{answer.model}" answers the prompt "{answer.id}" twice', where=where, hint=hint)
        found[answer.id, answer.model] = answer
    return tuple(found.values())


def _named(line: object) -> object:
    """The line with an id for its prompt: by default the prompt itself."""
    return {**line, "id": str(line.get("id", line.get("prompt")))} if isinstance(line, dict) else line


def missing_answers(
    prompts: Sequence[OpenPrompt], answers: Iterable[Answer], *, model: str, settings: str
) -> list[OpenPrompt]:
    """Prompts that a model has not answered yet.

    Raises:
        EvaluationError: The file has answers of this model name with other settings, or to other prompts.
    """
    given = {answer.id: answer for answer in answers if answer.model == model}
    for prompt in prompts:
        found = given.get(prompt.id)
        if found is None:
            continue
        if found.settings != settings or found.prompt != prompt.text:
            what = "to another prompt" if found.prompt != prompt.text else "by other weights or with other settings"
            hint = "choose another --out, or another name for the model: NAME=PATH"
            raise EvaluationError(f'"{model}" was answered {what}', where=f"prompt {prompt.id}", hint=hint)
    return [prompt for prompt in prompts if prompt.id not in given]


def answer_prompts(
    lm: LanguageModel,
    prompts: Sequence[OpenPrompt],
    *,
    model: str,
    answering: Answering,
    out: Path,
    batch_tokens: int = 8_192,
    progress: Callable[[int, int], None] | None = None,
    writer: Writer | None = None,
    note: Callable[[str], None] | None = None,
) -> int:
    """Appends a model's answers to a file; existing ones are not generated again.

    Args:
        lm: The model.
        prompts: The prompts, unchanged: no exemplars, no template.
        model: Its name in the file.
        answering: How answers are generated.
        out: The answers file, one JSON line per answer.
        batch_tokens: Array positions of a batch.
        progress: Called with (answers done, answers in total).
        writer: What generates; None: flantune's own loop.
        note: Called with notes about the chat template and about prompts that are too long.

    Returns:
        Number of new answers.

    Raises:
        EvaluationError: The file has answers of this model name with other settings.
    """
    from flantune.evaluation.asking.answers import write_answers
    from flantune.models.digests import model_fingerprint
    from flantune.models.writing.decoding import Decoding
    from flantune.models.writing.generate import write
    from flantune.packing.chat import chat_tokens
    from flantune.packing.codec_for import codec_for
    from flantune.prompts.layout import Layout
    from flantune.types import Prompt

    settings = settings_digest(answering, model_fingerprint(lm))
    left = missing_answers(prompts, read_answers(out) if out.exists() else (), model=model, settings=settings)
    codec = codec_for(
        lm,
        layout=Layout(target_separator=answering.separator),
        max_input_tokens=answering.max_input_tokens,
        max_target_tokens=answering.max_new_tokens,
        chat=chat_tokens(lm.tokenizer, answering.chat) if answering.chat else None,
    )
    asked = [
        Prompt(task="open-ended", split="test", row=at, template="", inputs=prompt.text, targets="")
        for at, prompt in enumerate(left)
    ]
    if note is not None:
        for known in _notes(codec, asked, left):
            note(known)
    with LineWriter(out) as lines:
        decoding = Decoding(
            max_new_tokens=answering.max_new_tokens, stop=answering.stop, temperature=answering.temperature,
            seed=answering.seed,
        )  # fmt: skip
        written = write_answers(
            lm, asked, codec=codec, decoding=decoding, batch_tokens=batch_tokens, progress=progress,
            each=lambda at, _, written: lines.add(
                asdict(
                    Answer(
                        id=left[at].id, prompt=left[at].text, model=model, answer=written.text.strip(),
                        finish=written.finish, tokens=len(written.tokens), settings=settings,
                    )
                )
            ),
            writer=writer or write,
        )  # fmt: skip
    return sum(map(len, written))


def _notes(codec: Codec, asked: Sequence[Prompt], prompts: Sequence[OpenPrompt]) -> Iterator[str]:
    """Notes to read before the answers."""
    yield from codec.chat.notes if codec.chat else ()
    each = codec.encode_prompts(asked, continuations="none").each
    limit = f"--max-input-tokens ({codec.max_input_tokens:,})"
    for said, is_so in (
        ("are shortened", [bool(one.inputs_shortened) for one in each]),
        ("get no answer, since none of their text would be left,", [bool(one.prompts_dropped) for one in each]),
    ):
        names = [prompt.id for prompt, so in zip(prompts, is_so, strict=True) if so]
        if names:
            yield f"{len(names):,} of {len(prompts):,} prompts {said} by {limit}; the first is {names[0]}: raise it"


def settings_digest(answering: Answering, fingerprint: str) -> str:
    """A short digest of weights and settings."""
    from flantune.packing.chat import read_template

    plain = {name: value for name, value in asdict(replace(answering, chat=None)).items() if name != "chat"}
    named: list[object] = [_VERSION, plain, fingerprint]
    if answering.chat is not None:
        template = answering.chat.chat_template
        text = read_template(template) if template else None
        named.append([answering.chat.system, text, answering.chat.chat_thinking])
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:16]


class LineWriter:
    """Appends JSON lines, which reach the disk within seconds; a line cut off earlier is repaired first.

    Args:
        path: The file; created if missing.
        every_seconds: How long a line may wait to be written to disk; 0: not at all.
    """

    def __init__(self, path: Path, *, every_seconds: float = _KEEP_EVERY_SECONDS) -> None:
        self.path, self._every, self._since = path, every_seconds, time.monotonic()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _drop_torn_line(path)
            self._handle = path.open("ab")
        except OSError as error:
            hint = "choose another file or folder"
            raise EvaluationError(f"cannot be written: {error.strerror}", where=str(path), hint=hint) from error

    def __enter__(self) -> LineWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, value: Mapping[str, object]) -> None:
        """Appends a line."""
        self._handle.write(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        if time.monotonic() - self._since >= self._every:
            self.sync()

    def sync(self) -> None:
        """Waits until all lines are on disk."""
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._since = time.monotonic()

    def close(self) -> None:
        """Writes all lines to disk and closes the file."""
        if not self._handle.closed:
            self.sync()
            self._handle.close()


def _drop_torn_line(path: Path) -> None:
    """Removes the text after the last line break, unless it is a complete JSON value that only lacks the break."""
    if not path.exists():
        return
    content = path.read_bytes()
    kept, _, tail = content.rpartition(b"\n")
    if not tail:
        return
    if _is_torn(tail):
        with path.open("r+b") as handle:
            handle.truncate(len(kept) + 1 if kept else 0)
    else:
        with path.open("ab") as handle:
            handle.write(b"\n")


def _is_torn(line: bytes) -> bool:
    try:
        json.loads(line)
    except RecursionError:
        return False  # nested too deeply to parse: it stays, and reading the file reports its place
    except ValueError:
        return True
    return False
