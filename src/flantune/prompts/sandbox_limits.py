"""Limits on third-party texts: work, lengths and depths, counted while they run.

Every operation costs work: an iteration of a loop, a call, the length of what a filter or operator reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

from jinja2.exceptions import SecurityError
from jinja2.utils import Namespace

from flantune.errors import TemplateError

MOST_WORK = 2_000_000
"""Limit on the work of one rendering: about a second, and four hundred times what promptsource's longest texts need."""
MOST_CHARACTERS = 4_000_000
"""Limit on the length of any text that is made."""


MOST_ITEMS = 250_000
"""Limit on the values in any list or table, at any depth."""

Choose = Callable[[int], int]
"""The number of choices → the index of the choice."""

_WIDE = re.compile(r"%(\([^)]*\))?[-+ #0]*(\*|\d{4,}|\d*\.(\*|\d{4,}))")


@dataclass(slots=True, kw_only=True)
class Meter:
    """What one rendering may still do, and its random choices.

    Attributes:
        left: Remaining work.
        step: Work of an iteration, which grows with the length of the text.
        choose: Makes random choices.
    """

    left: int
    step: int
    choose: Choose

    def spend(self, work: int) -> None:
        """Deducts work.

        Raises:
            TemplateError: Not enough is left.
        """
        self.left -= work
        if self.left < 0:
            raise TemplateError(
                "the template does too much: it was stopped", hint="look for a loop in a loop, or one that never ends"
            )


METER: ContextVar[Meter | None] = ContextVar("flantune_template_meter", default=None)


@contextmanager
def metered(meter: Meter) -> Iterator[None]:
    """Within the block, work is deducted from this meter."""
    before = METER.set(meter)
    try:
        yield
    finally:
        METER.reset(before)


def spend(work: int) -> None:
    """Deducts work from the meter of the current rendering, if there is one."""
    meter = METER.get()
    if meter is not None:
        meter.spend(work)


def size(value: object) -> int:
    """The work of reading a value once.

    Raises:
        TemplateError: It contains too much text, where repeated values count each time.
    """
    if isinstance(value, str):
        return len(value) // 64
    if isinstance(value, _CONTAINERS):
        return measure(value, depth=0)[0]
    return len(value) if isinstance(value, range) else 0


_CONTAINERS = (list, tuple, dict, set, Namespace)
_MOST_DEPTH = 50


def measure(value: object, *, depth: int) -> tuple[int, int]:
    """The number of values in a container, at any depth, and the number of characters in all their texts."""
    if depth > _MOST_DEPTH:
        raise TemplateError(f"the template makes lists nested more than {_MOST_DEPTH} deep")
    count = characters = 0
    inner = value._Namespace__attrs if isinstance(value, Namespace) else value
    for one in (*inner.keys(), *inner.values()) if isinstance(inner, dict) else cast("Iterable[object]", inner):
        count += 1
        if isinstance(one, str):
            characters += len(one)
        elif isinstance(one, _CONTAINERS):
            more = measure(one, depth=depth + 1)
            count, characters = count + more[0], characters + more[1]
        if count > MOST_ITEMS:
            raise TemplateError("the template makes too large a list")
        check_length(characters)
    return count, characters


def check_length(characters: int) -> None:
    """Refuses a text that is too long."""
    if characters > MOST_CHARACTERS:
        raise TemplateError(
            f"the template makes a text of {characters:,} characters", hint=f"the most is {MOST_CHARACTERS:,}"
        )


def sized(value: Any) -> Any:
    """A value that was just made, after a check of its size."""
    if isinstance(value, str):
        check_length(len(value))
    spend(1 + size(value))
    return value


def is_small(value: Any) -> bool:
    """Whether a number is small enough as a base or exponent."""
    return not isinstance(value, int) or abs(value) < 1_000


def check_product(left: Any, right: Any) -> None:
    """Refuses to multiply long texts or lists by numbers, and huge numbers."""
    for one, times in ((left, right), (right, left)):
        if isinstance(one, str | list | tuple) and isinstance(times, int):
            check_length(len(one) * max(0, times))
            spend(len(one) * max(0, times) // (64 if isinstance(one, str) else 1))
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > 4_096:
        raise SecurityError("the product of two numbers is too large")


def check_format(pattern: str, *args: Any) -> None:
    """Refuses a format string that would make a very long text."""
    if _WIDE.search(pattern):
        raise SecurityError("a width of more than three digits cannot be asked for")
    widest = max((int(digits) for digits in re.findall(r"\d{1,3}", pattern)), default=0)
    check_length(pattern.count("%") * (measure(args, depth=0)[1] + widest))


def checked_arguments(owner: str, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a text's method, after a check of the size of its result."""
    if name == "replace" and len(args) > 1:
        check_replace(owner, *args[:2])
    if name == "join":
        listed = list(args[0])
        check_joined(owner, listed)
        return (listed, *args[1:])
    return args


def check_joined(separator: str, values: Sequence[Any]) -> None:
    """Refuses a join with a very long result."""
    check_length(len(separator) * len(values) + measure(values, depth=0)[1])


def check_replace(text: str, old: object, new: object) -> None:
    """Refuses a replacement with a very long result."""
    times = text.count(str(old)) if str(old) else len(text) + 1
    check_length(len(text) + times * len(str(new)))
