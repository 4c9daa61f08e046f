"""Compiled templates: the only access to the languages that they are written in."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from flantune.errors import TemplateError, did_you_mean
from flantune.prompts.language import SIDES
from flantune.prompts.promptsource import PROMPTSOURCE
from flantune.prompts.slots import SLOTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flantune.prompts.language import CompiledText, Language, Side
    from flantune.types import Template

LANGUAGES: Sequence[Language] = (SLOTS, PROMPTSOURCE)
"""The languages of templates, one module of this folder each."""


def language_of(template: Template) -> Language:
    """The language of a template.

    Raises:
        TemplateError: There is no such language.
    """
    found = next((one for one in LANGUAGES if one.name == template.language), None)
    if found is None:
        known = [one.name for one in LANGUAGES]
        hint = did_you_mean(template.language, known) or f"available: {', '.join(known)}"
        raise TemplateError(f'no template language "{template.language}"', hint=hint)
    return found


def gives_prompts(template: Template) -> bool:
    """Whether one text gives inputs, targets and options at once, so that both sides are the same text.

    >>> from flantune.types import Template
    >>> gives_prompts(Template(name="t", inputs="{{ a }} ||| {{ b }}", language="promptsource"))
    True
    """
    return any(one.name == template.language and one.ask is not None for one in LANGUAGES)


@lru_cache(maxsize=65_536)
def compile_side(template: Template, side: Side) -> CompiledText:
    """One text of a template, compiled; later calls only cost a dictionary look-up.

    Raises:
        TemplateError: It cannot be read, for example because of an unmatched brace.
    """
    return language_of(template).compile(getattr(template, side))


@lru_cache(maxsize=65_536)
def compile_without_options(template: Template) -> CompiledText:
    """The inputs of a template without its options.

    Raises:
        TemplateError: As ``compile_side``.
    """
    return compile_side(template, "inputs").without_options()


def slots_of(template: Template, *sides: Side) -> tuple[str, ...]:
    """What a template shows of an example, each slot once; nothing for an unreadable text.

    >>> from flantune.types import Template
    >>> slots_of(Template(name="t", inputs="{premise} Is it so that {hypothesis}? {{yes}}"))
    ('premise', 'hypothesis', 'answer')

    Args:
        template: The template.
        sides: The texts to search; all of them if none is named.
    """
    found: list[str] = []
    for side in sides or SIDES:
        try:
            found += compile_side(template, side).slots
        except TemplateError:  # the linter and rendering report it, with its place
            continue
    return tuple(dict.fromkeys(found))
