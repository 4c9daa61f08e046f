"""flantune's own template language: text with ``{slots}``.

Nothing in a template is evaluated: a slot is only a name to look up. ``{{`` and ``}}`` stand for literal braces.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flantune.errors import TemplateError
from flantune.prompts.language import Flaw, Language, Side, Span, white_space_flaws

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_LOST_BACKSLASH = re.compile(r"(?<!\w)n{1,2}$")
"""What is left of one or two line breaks before a slot if the backslash is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlottedText:
    """Literal texts and the slots between them: ``literals[0] slots[0] literals[1] … literals[-1]``.

    Attributes:
        literals: The texts with unescaped braces; always one more than ``slots``.
        slots: Slot names in order of appearance.
    """

    literals: tuple[str, ...]
    slots: tuple[str, ...]

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with every slot filled. Braces inside a value are plain text: values are never read as templates.

        >>> compile_slots("Q: {question} {{really}}").fill({"question": "{answer}?"})
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
        """The literal texts, with a space for each slot."""
        return " ".join(self.literals)

    def spans(self, values: Mapping[str, str]) -> Iterator[Span]:
        """The filled text as spans.

        Raises:
            KeyError: A slot has no value.
        """
        yield Span(text=self.literals[0])
        for slot, literal in zip(self.slots, self.literals[1:], strict=True):
            yield Span(text=values[slot], slot=slot)
            yield Span(text=literal)

    def source(self) -> Iterator[Span]:
        """The source text, with slots in braces."""
        return self.spans({slot: f"{{{slot}}}" for slot in self.slots})

    def without_options(self) -> SlottedText:
        r"""The same text without its ``{options}`` slot and the blank line that it would leave.

        >>> compile_slots("Is it good?\n\n{options}").without_options().literals
        ('Is it good?',)
        >>> compile_slots("{text}\n\n{options}\nAnswer:").without_options().literals
        ('', '\n\nAnswer:')
        """
        literals, slots = [self.literals[0]], []
        last = len(self.slots) - 1
        for number, (slot, literal) in enumerate(zip(self.slots, self.literals[1:], strict=True)):
            if slot != "options":
                slots.append(slot)
                literals.append(literal)
                continue
            starts_text = not slots and not literals[-1].strip()
            ends_text = number == last and not literal.strip()
            literals[-1] = _close_gap(literals[-1], literal, starts_text=starts_text, ends_text=ends_text)
        return SlottedText(literals=tuple(literals), slots=tuple(slots))


def compile_slots(text: str) -> SlottedText:
    r"""Template text as literals and slots.

    >>> compile_slots("{premise}\nSo {hypothesis}?").slots
    ('premise', 'hypothesis')

    Raises:
        TemplateError: A brace is unmatched.
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
    return SlottedText(literals=(*literals, "".join(words)), slots=tuple(slots))


def slot_flaws(text: str, side: Side) -> Iterator[Flaw]:
    """Broken line breaks, slots that touch letters or each other, stray white space."""
    with suppress(TemplateError):
        compiled = compile_slots(text)
        yield from _broken_line_breaks(text, side, compiled)
        yield from _glued_fields(side, compiled)
    yield from white_space_flaws(text, side)


SLOTS = Language(name="slots", compile=compile_slots, flaws=slot_flaws)


def _broken_line_breaks(text: str, side: Side, compiled: SlottedText) -> Iterator[Flaw]:
    r"""A line break that lost its backslash ("\nn{slot}"), or kept it as one of two characters."""
    rule = "broken-line-break"
    if match := re.search(r"\\[nrt]", text):
        message = f"the {side} contain the two characters {match[0]} instead of a line break or tab"
        hint = "in TOML, write it between double quotes, or as a real line break between triple quotes"
        yield Flaw(rule=rule, message=message, hint=hint)
        return
    for slot, before in zip(compiled.slots, compiled.literals, strict=False):
        if match := _LOST_BACKSLASH.search(before):
            message = f'the {side} have a stray "{match[0]}" in front of the slot {{{slot}}}'
            yield Flaw(rule=rule, message=message, hint="write the line break again")


def _glued_fields(side: Side, compiled: SlottedText) -> Iterator[Flaw]:
    rule, hint = "glued-field", "put a space or a line break between them"
    last = len(compiled.slots) - 1
    for number, slot in enumerate(compiled.slots):
        before, after = compiled.literals[number], compiled.literals[number + 1]
        is_told = _LOST_BACKSLASH.search(before) or (number < last and _LOST_BACKSLASH.fullmatch(after))
        if not is_told and (re.search(r"\w\Z", before) or re.match(r"\w", after)):
            yield Flaw(rule=rule, message=f"in the {side} the slot {{{slot}}} touches a letter or digit", hint=hint)
        if not after and number < last:
            message = f"in the {side} the slots {{{slot}}} and {{{compiled.slots[number + 1]}}} touch"
            yield Flaw(rule=rule, message=message, hint=f"{hint}, or make them one field in the adapter")


def _close_gap(before: str, after: str, *, starts_text: bool, ends_text: bool) -> str:
    """Joins the texts on both sides of a removed slot, keeping the larger of the two gaps."""
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
