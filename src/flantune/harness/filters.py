"""The harness's filters: how the answer is extracted from a model's output."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flantune.errors import TaskError
from flantune.harness.refusals import functions
from flantune.harness.task_code import Function, TaskCode

if TYPE_CHECKING:
    from flantune.types import Row

FILTERS = ("regex", "multi_choice_regex", "remove_whitespace", "take_first", "lowercase", "uppercase", "map")

_NUMBER = r"#### (\-?[0-9\.\,]+)"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterStep:
    """One function of a filter.

    Attributes:
        function: Its name.
        options: Its options in the file.
        own: Its Python function named in the task file; None: it is one of ``FILTERS``.
        code: Runs that function.
    """

    function: str
    options: Mapping[str, Any]
    own: Function | None = None
    code: TaskCode | None = None

    def apply(self, text: str, choices: Sequence[str] = (), row: Row | None = None) -> str:
        """The text after this step."""
        if self.own is not None and self.code is not None:
            return str(self.code.filtered(self.own, self.options, text, row or {}))
        if self.function == "regex":
            return _regex(text, self.options)
        if self.function == "multi_choice_regex":
            return _choice(text, self.options, choices)
        if self.function == "remove_whitespace":
            return text.strip()
        if self.function == "lowercase":
            return text.lower()
        if self.function == "uppercase":
            return text.upper()
        if self.function == "map":
            table = self.options.get("mapping_dict") or {}
            return str(table.get(text, self.options.get("default_value", "")))
        return text


def _regex(text: str, options: Mapping[str, Any]) -> str:
    fallback = str(options.get("fallback", "[invalid]"))
    found = re.findall(str(options.get("regex_pattern", _NUMBER)), text)
    try:
        match = found[int(options.get("group_select", 0))]
    except IndexError:
        return fallback
    if isinstance(match, tuple):
        match = next((group for group in match if group), fallback)
    return str(match).strip()


def _choice(text: str, options: Mapping[str, Any], choices: Sequence[str]) -> str:
    r"""The letter of a choice: as found by the pattern, else by a choice's text, else after a colon.

    >>> _choice("It must be Rome.", {"regex_pattern": r"(\([A-Z]\))"}, ["Paris", "Rome"])
    '(B)'
    >>> _choice("Answer: A", {"regex_pattern": r"(\([A-Z]\))"}, ["Paris", "Rome"])
    '(A)'
    """
    place = int(options.get("group_select", 0))
    letters = [f"({chr(ord('A') + at)})" for at in range(len(choices))]
    plain = {_plain_choice(choice.strip(), options): letter for choice, letter in zip(choices, letters, strict=True)}
    by_text = "|".join(sorted(map(re.escape, plain), key=len, reverse=True))
    by_letter = rf":[\s]*({'|'.join(letter[1] for letter in letters)})"
    return (
        _match(str(options.get("regex_pattern", _NUMBER)), text, place)
        or _match(by_text, _plain_choice(text, options), place, plain)
        or _match(by_letter, text, place, {letter[1]: letter for letter in letters})
        or str(options.get("fallback", "[invalid]"))
    )


def _match(pattern: str, text: str, place: int, names: Mapping[str, str] | None = None) -> str:
    """One match of a pattern, by group name if it has one; empty without a match."""
    found = re.findall(pattern, text)
    if not -len(found) <= place < len(found):
        return ""
    match = found[place]
    if isinstance(match, tuple):
        match = next((group for group in match if group), "")
    return (names or {}).get(match.strip(), match.strip())


def _plain_choice(text: str, options: Mapping[str, Any]) -> str:
    for pattern in options.get("regexes_to_ignore") or ():
        text = re.sub(str(pattern), "", text)
    text = text.lower() if options.get("ignore_case") else text
    return text.translate(_marks()) if options.get("ignore_punctuation") else text


@lru_cache(maxsize=1)
def _marks() -> dict[int, None]:
    """All punctuation marks of all scripts."""
    marks = (at for at in range(sys.maxunicode) if unicodedata.category(chr(at)).startswith("P"))
    return dict.fromkeys(marks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A chain of functions that turns a model's output into an answer."""

    name: str
    steps: tuple[FilterStep, ...]

    def apply(self, text: str, choices: Sequence[str] = (), row: Row | None = None) -> str:
        """The answer.

        Args:
            text: The model's output.
            choices: Choices of the question.
            row: All columns of the question, for filters that are the task file's Python functions.
        """
        for step in self.steps:
            text = step.apply(text, choices, row)
        return text


NO_FILTER = Filter(name="none", steps=())


def read_filters(
    entries: Sequence[Mapping[str, Any]] | None, *, where: str, code: TaskCode | None = None
) -> tuple[tuple[Filter, ...], list[str]]:
    """The filters of a task, and notes on those left out; without any, the text is used as it is.

    Args:
        entries: ``filter_list``.
        where: The file, for messages.
        code: Runs filters that are the file's Python functions; None: they are left out.

    Raises:
        TaskError: No filter is known.
    """
    if not entries:
        return (NO_FILTER,), []
    found, notes, unknown = [], [], []
    for entry in entries:
        name = str(entry.get("name", "none"))
        steps = tuple(_step(one, code) for one in entry.get("filter") or ())
        strange = [step.function for step in steps if not _is_done(step)]
        unknown += strange
        if strange:
            notes.append(f'the filter {name} is left out: "{strange[0]}" is not supported')
        else:
            found.append(Filter(name=name, steps=steps))
    if not found:
        hint = "use one of these in the file, or add a filter that uses only these"
        message = f'filter_list: "{unknown[0]}" is not supported; supported are {", ".join(FILTERS)}'
        raise TaskError(message, where=where, hint=hint)
    return tuple(found), notes


def _step(entry: Mapping[str, Any], code: TaskCode | None) -> FilterStep:
    """A step in the file; ``custom``, or a class instead of a name, is the file's own function."""
    options = {key: value for key, value in entry.items() if key != "function"}
    own = options.pop("filter_fn", None) if entry["function"] == "custom" else entry["function"]
    is_own = code is not None and isinstance(own, Function)
    return FilterStep(function=str(own or "custom"), options=options, own=own if is_own else None, code=code)


def _is_done(step: FilterStep) -> bool:
    """Whether a step can be applied: the file's own function must be allowed and must load."""
    if step.own is None or step.code is None:
        return step.function in FILTERS and not any(functions(step.options))
    try:
        step.code.begin([step.own])
    except TaskError:
        return False
    return True
