"""Which part of a generated text is the answer: what is in the place of the template's ``{answer}``."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from flantune.errors import TemplateError
from flantune.prompts.compiled import compile_side, language_of

if TYPE_CHECKING:
    from flantune.types import Template


@lru_cache(maxsize=65_536)
def answer_marks(template: Template) -> tuple[str, ...]:
    r"""The template's words before and after the last ``{answer}`` of its targets; empty if there is nothing else.

    So a template itself says which part of a text is graded: the words before the answer announce it. Both texts extend
    to the next slot, so ("", …) is an answer that comes first, and (…, "") one that comes last.

    >>> from flantune.types import Template
    >>> answer_marks(Template(name="t", inputs="{question}", targets="{rationale}\nThe answer is {answer}."))
    ('\nThe answer is ', '.')
    >>> answer_marks(Template(name="t", inputs="{question}", targets="{answer}"))
    ()
    """
    if language_of(template).ask is not None:  # its only text says what is graded
        return ()
    try:
        spans = list(compile_side(template, "targets").source())
    except TemplateError:  # the linter and rendering report it, with its place
        return ()
    places = [at for at, span in enumerate(spans) if span.slot == "answer"]
    if not places or not any(span.text for at, span in enumerate(spans) if at != places[-1]):
        return ()
    around = (spans[at] for at in (places[-1] - 1, places[-1] + 1) if 0 <= at < len(spans))
    before, after = ("" if span.slot else span.text for span in around)
    return (before, after)


def reasons_first(marks: tuple[str, ...]) -> bool:
    """Whether there is text before the answer.

    >>> reasons_first(("So it is ", ".")), reasons_first(("", " since")), reasons_first(())
    (True, False, False)
    """
    return bool(marks) and bool(marks[0])
