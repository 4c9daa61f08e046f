"""How a prompt shows the answer options: in which order, and after a dash or a letter."""

from __future__ import annotations

from dataclasses import replace
from string import ascii_uppercase
from typing import TYPE_CHECKING

from flantune.prompts.compiled import compile_side
from flantune.system.keyed_random import mix64, shuffled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flantune.prompts.styles import OptionsLayout, Style
    from flantune.types import Example, Template


def options_block(options: Sequence[str], layout: OptionsLayout = "listed") -> str:
    r"""The answer options as FLAN lists them, or after letters. Paper: FLAN 2021, section 2.3 (the OPTIONS token).

    >>> options_block(["yes", "no"])
    'OPTIONS:\n- yes\n- no'
    >>> options_block(["yes", "no"], "lettered")
    'OPTIONS:\n(A) yes\n(B) no'
    """
    if layout == "listed":
        return "\n".join(["OPTIONS:", *(f"- {option}" for option in options)])
    return "\n".join(["OPTIONS:", *(f"{letter(place)} {option}" for place, option in enumerate(options))])


def letter(place: int) -> str:
    """What stands before the option at a place of a lettered block, and answers for it.

    >>> letter(0), letter(25), letter(26)
    ('(A)', '(Z)', '(AA)')
    """
    letters, rest = "", place + 1
    while rest:
        rest, last = divmod(rest - 1, len(ascii_uppercase))
        letters = ascii_uppercase[last] + letters
    return f"({letters})"


def shown_order(example: Example, style: Style, *, key: int) -> tuple[int, ...]:
    """Place in the prompt → index in the example's options: a pure function of ``key`` and the example's row.

    Empty where the options stand as the example has them.
    """
    return tuple(shuffled(len(example.options), key=mix64(key, example.row))) if style.shuffle_options else ()


def in_order(example: Example, order: Sequence[int]) -> Example:
    """The example with its options in that order, if there is one; its answer points at the same text as before."""
    if not order:
        return example
    answer = None if example.answer is None else order.index(example.answer)
    return replace(example, options=tuple(example.options[index] for index in order), answer=answer)


def answers_by_letter(example: Example, template: Template, style: Style) -> bool:
    """Whether the answer is a letter: only where the prompt shows letters, and never the answer of another question.

    A template without an ``{options}`` slot, ``show_options=False`` and an inverted template keep the option's text.

    Raises:
        TemplateError: A brace of the template has no partner.
    """
    if style.options != "lettered" or not style.show_options or not example.options:
        return False
    if style.name != "instruction":
        return True
    return not template.is_inverted and "options" in compile_side(template, "inputs").slots


def answer_texts(example: Example, template: Template, style: Style) -> tuple[str, ...]:
    """What a model writes for each option, in their order: the texts themselves, or the letters before them.

    Raises:
        TemplateError: A brace of the template has no partner.
    """
    if answers_by_letter(example, template, style):
        return tuple(letter(place) for place in range(len(example.options)))
    return example.options
