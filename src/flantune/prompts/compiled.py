"""Template text, read once into literal words and slots.

Nothing in a template is evaluated: a slot is a name to look up, no more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from flantune.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledText:
    """Literal words and the slots between them: ``literals[0] slots[0] literals[1] … literals[-1]``.

    Attributes:
        literals: The words as written, braces unescaped; always one more than ``slots``.
        slots: Slot names in order of appearance.
    """

    literals: tuple[str, ...]
    slots: tuple[str, ...]

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with every slot filled. Braces inside a value are plain text: values are never read as templates.

        >>> compile_text("Q: {question} {{really}}").fill({"question": "{answer}?"})
        'Q: {answer}? {really}'

        Raises:
            KeyError: A slot has no value.
        """
        pieces = [self.literals[0]]
        for slot, literal in zip(self.slots, self.literals[1:], strict=True):
            pieces.append(values[slot])
            pieces.append(literal)
        return "".join(pieces)

    @property
    def words(self) -> str:
        """The literal words alone, a blank where a slot stood."""
        return " ".join(self.literals)


@lru_cache(maxsize=65_536)
def compile_text(text: str) -> CompiledText:
    r"""Read template text once; later calls with the same text cost a dictionary look-up.

    >>> compile_text("{premise}\nSo {hypothesis}?").slots
    ('premise', 'hypothesis')

    Raises:
        TemplateError: A brace has no partner.
    """
    literals, slots, words, end = [], [], [], 0
    for match in _TOKEN.finditer(text):
        words.append(text[end : match.start()])
        end = match.end()
        if match[0] in ("{{", "}}"):
            words.append(match[0][0])
        elif match[1] is None:
            raise _unpaired(text, match.start())
        else:
            literals.append("".join(words))
            slots.append(match[1])
            words = []
    words.append(text[end:])
    return CompiledText(literals=(*literals, "".join(words)), slots=tuple(slots))


@lru_cache(maxsize=65_536)
def compile_without_options(text: str) -> CompiledText:
    r"""The same text with its ``{options}`` slot taken out, and the blank line that would be left behind.

    >>> compile_without_options("Is it good?\n\n{options}").literals
    ('Is it good?',)
    >>> compile_without_options("{text}\n\n{options}\nAnswer:").literals
    ('', '\n\nAnswer:')

    Raises:
        TemplateError: A brace has no partner.
    """
    compiled = compile_text(text)
    literals, slots = [compiled.literals[0]], []
    last = len(compiled.slots) - 1
    for number, (slot, literal) in enumerate(zip(compiled.slots, compiled.literals[1:], strict=True)):
        if slot != "options":
            slots.append(slot)
            literals.append(literal)
            continue
        starts_text = not slots and not literals[-1].strip()
        ends_text = number == last and not literal.strip()
        literals[-1] = _close_gap(literals[-1], literal, starts_text=starts_text, ends_text=ends_text)
    return CompiledText(literals=tuple(literals), slots=tuple(slots))


def _close_gap(before: str, after: str, *, starts_text: bool, ends_text: bool) -> str:
    """Join the words on both sides of a slot that is gone, keeping the larger of the two gaps."""
    head, tail = before.rstrip(), after.lstrip()
    if starts_text:
        return tail
    if ends_text:
        return head
    left, right = before[len(head) :], after[: len(after) - len(tail)]
    gap = left if (left.count("\n"), len(left)) >= (right.count("\n"), len(right)) else right
    return head + gap + tail


def _unpaired(text: str, position: int) -> TemplateError:
    line = text.count("\n", 0, position) + 1
    return TemplateError(
        f'the brace "{text[position]}" in line {line} of the template has no partner: {_around(text, position)!r}',
        hint="write {{ and }} for braces that are meant as such",
    )


def _around(text: str, position: int) -> str:
    return text[max(0, position - 20) : position + 20]
