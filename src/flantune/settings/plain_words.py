"""Pydantic's findings in words for the author of a file, and values as messages show them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

_UNION_BRANCH = re.compile(
    r"(none|int|float|str|bool|path|tuple|list|dict|literal|constrained-\w+|lax-or-strict|function-\w+|JoinedColumn)"
    r"(\[.*)?",
    re.DOTALL,
)

_WORDS: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "unknown",
    "string_type": "should be text",
    "string_unicode": "should be text",
    "path_type": "should be text: a file or folder",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "finite_number": "should be a finite number",
    "tuple_type": "should be a list",
    "list_type": "should be a list",
    "dict_type": "should be a table",
    "model_type": "should be a table",
    "model_attributes_type": "should be a table",
    "mapping_type": "should be a table",
    "string_too_short": "should not be empty",
}


_BOUNDS: Mapping[str, tuple[str, str]] = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        place: Keys and list indices that lead to it.
        kind: Pydantic's name for it, such as "extra_forbidden".
        text: What was expected, without the value found.
        got: The value found.
    """

    place: tuple[str | int, ...]
    kind: str
    text: str
    got: object

    @property
    def path(self) -> str:
        """The place as usually written: ``holdout.folds[1]``."""
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.place).lstrip(".")


def problems_of(error: ValidationError) -> list[Problem]:
    """Everything that is wrong, one entry per place; the alternatives of a union are joined in one text."""
    gathered: dict[tuple[str | int, ...], list[dict[str, Any]]] = {}
    for one in error.errors(include_url=False):
        gathered.setdefault(_place(one["loc"]), []).append(dict(one))
    # A list with wrong entries is counted without them.
    broken = {place[:-1] for place in gathered if place and isinstance(place[-1], int)}
    return [
        _problem(place, several)
        for place, several in gathered.items()
        if not (place in broken and several[0]["type"] in ("too_short", "too_long"))
    ]


def _problem(place: tuple[str | int, ...], several: Sequence[Mapping[str, Any]]) -> Problem:
    texts = list(dict.fromkeys(map(_text, several)))
    first, rest = texts[0], [text.removeprefix("should be ") for text in texts[1:]]
    return Problem(place=place, kind=several[0]["type"], text=" or ".join([first, *rest]), got=several[0]["input"])


def _place(loc: Sequence[str | int]) -> tuple[str | int, ...]:
    """A pydantic location without the branches of a union, which are not part of a file."""
    return tuple(part for number, part in enumerate(loc) if not number or isinstance(part, int) or not _is_branch(part))


def _is_branch(part: str) -> bool:
    return _UNION_BRANCH.fullmatch(part) is not None


def _text(error: Mapping[str, Any]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"should be {context['expected']}".replace("'", '"')
    if kind in ("too_short", "too_long"):
        bound = context.get("min_length", context.get("max_length"))
        side = "least" if kind == "too_short" else "most"
        return f"should have at {side} {bound} {'entry' if bound == 1 else 'entries'}"
    if kind in _BOUNDS:  # Python's own words for a large bound are rounded
        words, name = _BOUNDS[kind]
        bound = context[name]
        return f"should be {words} {int(bound) if bound == int(bound) else bound}"
    if kind == "string_too_long":
        return f"should have at most {context['max_length']} characters"
    message = str(error["msg"])
    return _WORDS.get(kind) or message.replace("Input should", "should")


def shown(value: object, *, width: int = 80) -> str:
    r"""A value as in a run file, on one line and not too long, without control characters for a terminal.

    >>> shown(True), shown("a\nb"), shown([1, "x"]), shown(float("inf"))
    ('true', '"a\\nb"', '[1, "x"]', 'inf')
    """
    if isinstance(value, float):
        return repr(value)
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    text = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text[: width + 1])
    return text if len(text) <= width else f"{text[: width - 1]}…"


def first_names(names: Sequence[str], *, most: int) -> str:
    """Some names of many, and how many more there are.

    >>> first_names(["rte", "cb", "anli"], most=2), first_names(["rte"], most=2)
    ('rte, cb and 1 more', 'rte')
    """
    left = len(names) - most
    return ", ".join(names[:most]) + (f" and {left:,} more" if left > 0 else "")
