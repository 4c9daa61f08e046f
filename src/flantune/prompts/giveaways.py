"""Options that reveal the right answer by how they are written: white space, place, length, case, a period.

A model tuned on such rows learns the mark instead of the task, and one measured on them may use it. The marks checked
here are unrelated to the question; a finding requires that a mark nearly always identifies the right option, in too
many rows for chance.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flantune.prompts.lint_text import Finding

if TYPE_CHECKING:
    from flantune.types import Example, Task

MOST_LOOKED_AT = 2_000
"""Number of rows checked."""
_CHANCE = 1e-3
"""The largest probability that a mark identifies every right option by chance: ten rows of two options, five of
four."""
_TELLING = 0.95
_TELLING_LENGTH = 0.9
_FEWEST_SETS = 5
_ENOUGH = 20
_FEW = 0.01
_WIDEST = 300


@dataclass(frozen=True, slots=True)
class _Row:
    """The options of a row, and the right one."""

    number: int
    options: tuple[str, ...]
    gold: int


def option_findings(task: Task, examples: Sequence[Example]) -> Iterator[Finding]:
    """Findings about options that reveal the right one.

    Args:
        task: The task; only classification tasks have options.
        examples: Some of its examples, of which at most ``MOST_LOOKED_AT`` are checked.
    """
    rows = [
        _Row(one.row, one.options, one.answer)
        for one in examples[:MOST_LOOKED_AT]
        if one.answer is not None and len(one.options) > 1
    ]
    said = [*_edges(rows), *_twice(rows)]
    if _options_vary(rows):
        said += [*_places(rows), *_lengths(rows), *_marks(rows)]
    elif len({row.options for row in rows}) > 1:
        said += _places(rows)  # the same options in another order
    for rule, message, hint in said:
        yield Finding(task=task.name, template="", rule=rule, message=message, hint=hint, severity="warning")


_Said = tuple[str, str, str]
_RULE = "option-gives-itself-away"


def _options_vary(rows: Sequence[_Row]) -> bool:
    """Whether options are part of the question rather than labels of the task."""
    return len({tuple(sorted(row.options)) for row in rows}) >= max(_FEWEST_SETS, len(rows) // 10)


def _is_no_chance(rows: Sequence[_Row]) -> bool:
    """Whether a mark that identifies the right option in all of these rows is more than chance."""
    return math.prod(1 / len(row.options) for row in rows[:_ENOUGH]) <= _CHANCE


def _edges(rows: Sequence[_Row]) -> Iterator[_Said]:
    """Rows in which only some options begin or end with white space or invisible characters."""
    uneven = [row for row in rows if len({_edge(option) for option in row.options}) > 1]
    if not uneven:
        return
    telling = sum(map(_is_told, uneven))
    first = uneven[0]
    message = (
        f"in {len(uneven)} of {len(rows)} rows some options begin or end with white space and others do not, first in "
        f"row {first.number}: {_shown(first)}"
    )
    if telling:
        message += f"; in {telling} of them that tells the right one"
    yield "option-white-space", message, "take the white space off in the data or in the adapter"


def _shown(row: _Row) -> str:
    text = ", ".join(map(repr, row.options))
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _edge(option: str) -> tuple[str, str]:
    """The text before the first and after the last visible character."""
    seen = [at for at, character in enumerate(option) if unicodedata.category(character)[0] not in "ZC"]
    return (option[: seen[0]], option[seen[-1] + 1 :]) if seen else (option, "")


def _is_told(row: _Row) -> bool:
    """Whether the right option's edge is unique, and those of all others are equal."""
    edges = [_edge(option) for option in row.options]
    return edges.count(edges[row.gold]) == 1 and len(set(edges)) == 2


def _twice(rows: Sequence[_Row]) -> Iterator[_Said]:
    """Options that differ only in white space: from the right one, or among others in more than a few rows."""
    bare = [(row, [" ".join(option.split()) for option in row.options]) for row in rows]
    twice = [row for row, options in bare if len(set(options)) < len(options)]
    is_gold = any(options.count(options[row.gold]) > 1 for row, options in bare)
    if is_gold or len(twice) > _FEW * len(rows):
        first = f"row {twice[0].number}: {_shown(twice[0])}"
        what = f"in {len(twice)} of {len(rows)} rows an option occurs twice, first in {first}"
        yield "option-twice", what, "make the options of a row differ, or leave such rows out in the adapter"


def _places(rows: Sequence[_Row]) -> Iterator[_Said]:
    if not _is_no_chance(rows):
        return
    places = Counter(row.gold for row in rows)
    place, count = places.most_common(1)[0]
    last = sum(row.gold == len(row.options) - 1 for row in rows)
    hint = "put the options into an order that says nothing, or set prompts.shuffle_options"
    if count >= _TELLING * len(rows):
        yield _RULE, f"the right option is number {place + 1} in {count} of {len(rows)} rows", hint
    elif last >= _TELLING * len(rows):
        yield _RULE, f"the right option is the last one in {last} of {len(rows)} rows", hint


def _lengths(rows: Sequence[_Row]) -> Iterator[_Said]:
    for word, pick in (("longest", max), ("shortest", min)):
        singled = [row for row in rows if _lengths_of(row).count(pick(_lengths_of(row))) == 1]
        hits = sum(len(row.options[row.gold]) == pick(_lengths_of(row)) for row in singled)
        if _is_no_chance(singled) and len(singled) >= len(rows) // 2 and hits >= _TELLING_LENGTH * len(singled):
            what = f"the right option is the {word} one in {hits} of {len(singled)} rows"
            yield _RULE, what, "give the other options the length of the right one"


def _lengths_of(row: _Row) -> list[int]:
    return [len(option) for option in row.options]


def _begins_large(option: str) -> bool:
    return next((letter.isupper() for letter in option if letter.isalpha()), False)


def _is_all_small(option: str) -> bool:
    return option == option.lower()


def _begins_in_mark(option: str) -> bool:
    return unicodedata.category(option.lstrip()[:1] or " ")[0] == "P"


def _ends_in_mark(option: str) -> bool:
    return unicodedata.category(option.rstrip()[-1:] or " ")[0] == "P"


_MARKS: tuple[tuple[Callable[[str], bool], str, str], ...] = (
    (_begins_large, "begins with a capital letter", "begins with a lowercase letter"),
    (_is_all_small, "is all lowercase", "has a capital letter"),
    (str.isupper, "is all in capital letters", "has a lowercase letter"),
    (_begins_in_mark, "begins with a punctuation mark", "begins without a punctuation mark"),
    (_ends_in_mark, "ends with a punctuation mark", "ends without a punctuation mark"),
)


def _marks(rows: Sequence[_Row]) -> Iterator[_Said]:
    """Marks that single out one option in enough rows, and nearly always the right one."""
    for has, with_it, without_it in _MARKS:
        for sought, words in ((True, with_it), (False, without_it)):
            singled = [row for row in rows if sum(has(option) is sought for option in row.options) == 1]
            hits = sum(has(row.options[row.gold]) is sought for row in singled)
            if _is_no_chance(singled) and len(singled) >= len(rows) // 20 and hits >= _TELLING * len(singled):
                what = f"in {hits} of {len(singled)} rows the right option is the only one that {words}"
                yield _RULE, what, "write all options of a row alike"
                break
