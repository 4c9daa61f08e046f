"""Prompts from a task's definition and its authors' solved examples, with configurable wording. Paper: Tk-Instruct."""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flantune.errors import TemplateError
from flantune.system.keyed_random import mix64
from flantune.types import Exemplar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flantune.settings.natural_instructions import InstructionSettings
    from flantune.types import Prompt, Task

_HINT = 'join some of "name", "definition", "pos2", "neg2" and "explanation" by "_", in this order'


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """What precedes the instance.

    Attributes:
        names: Whether it has the task's name.
        defines: Whether it has the definition.
        positives: At most this many right examples.
        negatives: At most this many wrong ones.
        explains: Whether examples have explanations.
    """

    names: bool = False
    defines: bool = False
    positives: int = 0
    negatives: int = 0
    explains: bool = False


@lru_cache(maxsize=1_024)
def read_encoding(name: str) -> Encoding:
    """An encoding by its name.

    >>> read_encoding("definition_pos2_explanation")
    Encoding(names=False, defines=True, positives=2, negatives=0, explains=True)

    Raises:
        TemplateError: It is not an encoding.
    """
    found: dict[str, Any] = {}
    order = []
    for part in name.split("_"):
        kind, count = part.rstrip(string.digits), part[len(part.rstrip(string.digits)) :]
        if kind in _COUNTED and count.isascii() and count.isdigit() and 0 < int(count) <= 99:
            found[_COUNTED[kind]] = int(count)
        elif part in _ASKED:
            found[_ASKED[part]] = True
        else:
            raise TemplateError(f'"{name}" is not an encoding: "{part}" says nothing', hint=_HINT)
        order.append(_ORDER.index(kind))
    if order != sorted(set(order)):
        raise TemplateError(f'"{name}" is not an encoding: its parts are out of order, or one occurs twice', hint=_HINT)
    if "explains" in found and not {*_COUNTED.values()} & found.keys():
        raise TemplateError(f'"{name}" is not an encoding: there is no example to explain', hint=_HINT)
    return Encoding(**found)


_COUNTED = {"pos": "positives", "neg": "negatives"}
_ASKED = {"name": "names", "definition": "defines", "explanation": "explains"}
_ORDER = ("name", "definition", "pos", "neg", "explanation")


def with_instruction(prompt: Prompt, task: Task, encoding: str, *, words: InstructionSettings, key: int) -> Prompt:
    """Puts a task's definition and examples before a prompt whose inputs are only an instance's.

    An example with the instance's own input is never shown. All parts include their separators, so the layout's do not
    apply; only the middle of an overlong input is cut, never the text around it.

    Args:
        prompt: The prompt.
        task: Its task.
        encoding: Which parts are shown.
        words: The wording around it.
        key: Draws the reference to train on, with the prompt's row; a test prompt keeps its first one.

    Raises:
        TemplateError: There is no such encoding.
    """
    shown = read_encoding(encoding)
    text = prompt.inputs.strip()
    start = f"{words.query}\n{words.input.partition('{text}')[0]}"
    inputs = f"{words.query}\n{in_line(words.input, text)}\n{words.cue}"
    targets = prompt.targets
    if prompt.split == "train" and len(prompt.references) > 1:
        targets = prompt.references[mix64(key, prompt.row) % len(prompt.references)]
    return replace(
        prompt,
        preamble=_opening(task, shown, words),
        exemplars=tuple(_examples(task, shown, words, text)),
        inputs=inputs,
        targets=targets,
        frame=(len(start), len(inputs) - len(start) - len(text)),
    )


def in_line(line: str, text: str) -> str:
    """A line with its text, and with a period if it does not end in ASCII punctuation.

    >>> in_line("Given: {text}", " two words "), in_line("Given: {text}", "Is it?"), in_line("Given: {text}", "")
    ('Given: two words.', 'Given: Is it?', 'Given: .')
    """
    whole = line.replace("{text}", text.strip())
    return whole if whole[-1:] in _MARKS else f"{whole}."


_MARKS = frozenset(string.punctuation)


def _opening(task: Task, shown: Encoding, words: InstructionSettings) -> str:
    name = words.name.replace("{text}", task.name) if shown.names else ""
    return name + (in_line(words.definition, task.definition) + "\n\n" if shown.defines else "")


def _examples(task: Task, shown: Encoding, words: InstructionSettings, query: str) -> Iterator[Exemplar]:
    others = [one for one in task.exemplars if one.inputs.strip() != query]
    right = [one for one in others if one.is_right][: shown.positives]
    wrong = [one for one in others if not one.is_right][: shown.negatives]
    numbered = [*enumerate(right, 1), *enumerate(wrong, 1)]
    for at, (number, one) in enumerate(numbered):
        heading = (words.positive if one.is_right else words.negative).replace("{number}", str(number))
        before = words.output.partition("{text}")[0]
        answer = in_line(words.output, one.targets)[len(before) :]
        reason = f"\n{in_line(words.explanation, one.explanation)}" if shown.explains else ""
        yield replace(
            one,
            row=-1 - at,
            inputs=f"{heading}\n{in_line(words.input, one.inputs)}\n{before}",
            targets=f"{answer}{reason}\n\n",
        )
