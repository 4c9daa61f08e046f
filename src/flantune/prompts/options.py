"""How a prompt shows the answer options: their order, their marks, and what the answer is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from string import ascii_uppercase
from typing import TYPE_CHECKING, Literal, TypeVar

from flantune.prompts.compiled import compile_side
from flantune.system.keyed_random import mix64, shuffled, stream_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flantune.prompts.styles import Style
    from flantune.types import Example, Template

_Value = TypeVar("_Value")


def capital(place: int) -> str:
    """The capital letter of a place; two letters from the 27th on, so that marks never run out.

    >>> capital(0), capital(25), capital(26)
    ('A', 'Z', 'AA')
    """
    letters, rest = "", place + 1
    while rest:
        rest, last = divmod(rest - 1, len(ascii_uppercase))
        letters = ascii_uppercase[last] + letters
    return letters


def roman(place: int) -> str:
    """The Roman numeral of a place, counted from 0.

    >>> roman(0), roman(3), roman(48)
    ('I', 'IV', 'XLIX')
    """
    written, rest = "", place + 1
    for value, sign in _ROMAN:
        count, rest = divmod(rest, value)
        written += sign * count
    return written


_ROMAN = (
    *((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL")),
    *((10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")),
)
_MARKS: Mapping[str, Callable[[int], str]] = {
    "A": capital,
    "a": lambda place: capital(place).lower(),
    "1": lambda place: str(place + 1),
    "I": roman,
    "i": lambda place: roman(place).lower(),
}
"""First mark of a series → a function that gives the mark of each place. All series are endless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionLayout:
    """How a list of options is written.

    Attributes:
        opening: The line before them.
        series: First of the distinguishing marks ("A", "1" …); empty: none, only ``before`` precedes each.
        before: Before each mark.
        after: Between mark and option.
        between: Between two options.
        answer: The answer for an option: its text, its mark, or the mark with what surrounds it.
    """

    opening: str = "OPTIONS:"
    series: str = ""
    before: str = "- "
    after: str = ""
    between: str = "\n"
    answer: Literal["text", "mark", "whole mark"] = "text"

    def block(self, options: Sequence[str]) -> str:
        r"""The options below their opening.

        >>> LISTED.block(["yes", "no"])
        'OPTIONS:\n- yes\n- no'
        >>> LETTERED.block(["yes", "no"])
        'OPTIONS:\n(A) yes\n(B) no'
        """
        shown = (f"{self.before}{self._mark(at)}{self.after}{option}" for at, option in enumerate(options))
        return f"{self.opening}\n{self.between.join(shown)}"

    def answers(self, count: int) -> tuple[str, ...]:
        """The answer for each option, if marks are the answers."""
        if self.answer == "mark":
            return tuple(map(self._mark, range(count)))
        return tuple(f"{self.before}{self._mark(at)}{self.after}".strip() for at in range(count))

    def _mark(self, place: int) -> str:
        return _MARKS[self.series](place) if self.series else ""


LISTED = OptionLayout()
LETTERED = OptionLayout(series="A", before="(", after=") ", answer="whole mark")

_SERIES = tuple(_MARKS)
_AROUND = (("", ". "), ("", ") "), ("(", ") "), ("[", "] "), ("", ": "), ("", " - "))
_BULLETS = ("- ", "* ", "+ ", "> ", "• ", "")
_FOR_TEXTS = (
    "One of these is right:",
    "Take one of these:",
    "Decide between these:",
    "These are the possible answers:",
    "What can be answered:",
    "Nothing but these counts as an answer:",
    "Say one of these, word for word:",
    "The right answer is among these:",
)
_FOR_MARKS = (
    "Give the {mark} of the right one:",
    "Which {mark} stands before the right answer?",
    "Answer with a {mark} alone:",
    "Name the {mark} of what is right:",
    "One of these is right; say its {mark}:",
    "Only the {mark} of the answer is wanted:",
)


@lru_cache(maxsize=65_536)
def drawn_layout(key: int) -> OptionLayout:
    r"""One of the varied layouts, a pure function of ``key``: opening, marks, and what surrounds them.

    If the opening asks for a letter or number, that is the answer, without what surrounds it; otherwise the option's
    text is, with or without marks. So a prompt always says which of the two is expected. Paper: Flan 2022, whose code
    draws openings and marks as well, but never says whether text or mark is the answer.

    >>> drawn_layout(2) == drawn_layout(2), len({drawn_layout(key) for key in range(1_000)}) > 300
    (True, True)
    """
    wants_mark, has_marks = mix64(key, 0) % 2 == 0, mix64(key, 1) % 2 == 0
    if not wants_mark and not has_marks:
        return OptionLayout(opening=_one_of(_FOR_TEXTS, key, 2), before=_one_of(_BULLETS, key, 3))
    series = _one_of(_SERIES, key, 4)
    before, after = _one_of(_AROUND, key, 5)
    opening = _one_of(_FOR_MARKS, key, 2) if wants_mark else _one_of(_FOR_TEXTS, key, 2)
    return OptionLayout(
        opening=opening.replace("{mark}", "number" if series in "1Ii" else "letter"),
        series=series,
        before=before,
        after=after,
        between=_one_of(("\n", "\n", " "), key, 6),
        answer="mark" if wants_mark else "text",
    )


def _one_of(values: Sequence[_Value], key: int, number: int) -> _Value:
    return values[mix64(key, number) % len(values)]


def layout_for(style: Style, template: Template, *, key: int) -> OptionLayout:
    """How a style lists the options of prompts in one template; a varied layout is drawn by key and template.

    Rows with the same key show their options in the same way, and so do the exemplars before them.
    """
    if style.options == "varied":
        return drawn_layout(mix64(key, stream_key(0, "option layout", template.name)))
    return LETTERED if style.options == "lettered" else LISTED


def letter(place: int) -> str:
    """The mark of an option in a lettered block, which is also the answer.

    >>> letter(0), letter(25), letter(26)
    ('(A)', '(Z)', '(AA)')
    """
    return f"({capital(place)})"


def shown_order(example: Example, style: Style, *, key: int) -> tuple[int, ...]:
    """Place in the prompt → index in the example's options: a pure function of ``key`` and the example's row.

    Empty if the options are in the example's order.
    """
    return tuple(shuffled(len(example.options), key=mix64(key, example.row))) if style.shuffle_options else ()


def in_order(example: Example, order: Sequence[int]) -> Example:
    """The example with its options in that order, if given; its answer refers to the same text as before."""
    if not order:
        return example
    answer = None if example.answer is None else order.index(example.answer)
    return replace(example, options=tuple(example.options[index] for index in order), answer=answer)


def answers_by_mark(example: Example, template: Template, style: Style, *, key: int) -> bool:
    """Whether a mark is the answer: only if the prompt shows marks, and never for an inverted template.

    A template without an ``{options}`` slot, ``show_options=False`` and an inverted template keep the option's text.

    Raises:
        TemplateError: The template has an unmatched brace.
    """
    if not style.show_options or not example.options or layout_for(style, template, key=key).answer == "text":
        return False
    if style.name != "instruction":
        return True
    return not template.is_inverted and "options" in compile_side(template, "inputs").slots


def answer_texts(example: Example, template: Template, style: Style, *, key: int) -> tuple[str, ...]:
    """The answer for each option, in their order: the texts themselves, or the marks before them.

    Raises:
        TemplateError: The template has an unmatched brace.
    """
    if answers_by_mark(example, template, style, key=key):
        return layout_for(style, template, key=key).answers(len(example.options))
    return example.options
