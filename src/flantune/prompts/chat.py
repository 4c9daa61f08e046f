"""Exemplars as turns of a chat: what a template puts between one solved example and the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from flantune.errors import TemplateError

# Stand in for texts while a template is rendered; no template trims, escapes or breaks a plain word.
_MARKS = ("FLANTUNEQUERY", "FLANTUNEREPLY", "FLANTUNENEXT", "FLANTUNELAST")


def turn_break(render: Callable[[Sequence[Mapping[str, str]]], str], *, system: str = "") -> str:
    """What stands between a reply and the next query.

    Args:
        render: Messages with "role" and "content" → the whole conversation as the template writes it.
        system: System message; empty: none.

    Raises:
        TemplateError: The template changes a turn, leaves it out or repeats it, or opens its first reply in another
            way than later ones.

    >>> turn_break(lambda turns: "".join(f"<{t['role']}> {t['content']} </>" for t in turns))
    ' </><user> '
    """
    roles = ("user", "assistant", "user", "assistant")
    turns = [{"role": role, "content": mark} for role, mark in zip(roles, _MARKS, strict=True)]
    start = [{"role": "system", "content": system}] if system else []
    _, opening, between, later = _before_each(render([*start, *turns]), _MARKS)
    alone = _before_each(render([*start, *turns[:2]]), _MARKS[:2])[1]
    if opening != later or opening != alone:
        raise TemplateError(
            "the chat template opens its first reply in another way than later ones",
            where="prompts.chat_exemplars",
            hint='set prompts.chat_exemplars = "message": all exemplars in one turn',
        )
    return between


def _before_each(text: str, marks: Sequence[str]) -> list[str]:
    """What stands before each mark, up to the one before it."""
    parts = []
    for mark in marks:
        part, found, text = text.partition(mark)
        if not found or mark in text:
            hint = 'set prompts.chat_exemplars = "message": all exemplars in one turn'
            message = "the chat template does not show each turn once, in order"
            raise TemplateError(message, where="prompts.chat_exemplars", hint=hint)
        parts.append(part)
    return parts
