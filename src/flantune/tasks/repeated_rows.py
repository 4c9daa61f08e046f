"""Rows that share a passage, a person or a fact, and so are not independent observations.

Scores on the rows of one passage rise and fall together. Intervals that count each row as an independent observation
are too narrow, so a task can say which rows belong together (``[answer] group``); this module detects tasks that
should. A field with few values that only says what kind of question a row asks (a question word, a category, an
instruction) does not count: its rows ask different things.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from flantune.prompts.alike import plain
from flantune.tasks.columns import ColumnAdapter
from flantune.tasks.conversations import ConversationAdapter

if TYPE_CHECKING:
    from flantune.types import Example, Task

MOST_ROWS = 20_000
"""Number of rows examined, from the first on."""

FEWEST_ROWS = 10
"""With fewer rows, every interval is wide anyway."""

NARROW = 0.8
"""Rows count as independent if their effective number is at least this share of their number: intervals would be up to
an eighth too narrow at this share."""

MOST_KINDS = 12
"""A field with more values than this does not merely say what kind of question a row asks."""

LEAST_SHARE = 0.5
"""A field with at least this share of a row's text can be what the row is about."""

_COMPARED = 500

FEWEST_ANSWERS = 5
"""With at least this many different answers, a field that determines them is neither chance nor a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedRows:
    """A field whose values recur so often that its rows are not independent.

    Attributes:
        fields: The field; several if whole rows repeat.
        values: Different values of it.
        rows: Rows they are in.
        effective: The number of independent rows they are worth if the rows of one value are copies.
        advice: What to do about it.
    """

    task: str
    fields: tuple[str, ...]
    values: int
    rows: int
    effective: float
    advice: str

    def __str__(self) -> str:
        named = " and ".join(f"{{{name}}}" for name in self.fields)
        verb = "has" if len(self.fields) == 1 else "have"
        return (
            f"{self.rows:,} test rows are not independent: {named} {verb} {self.values:,} different values in them, "
            f"worth about {self.effective:,.0f} independent rows, so intervals by rows are too narrow. {self.advice}"
        )


def find_repeated_rows(task: Task, examples: Sequence[Example]) -> RepeatedRows | None:
    """The field by which a task's test rows should be grouped but are not; None if they look independent.

    Args:
        task: The task.
        examples: The rows it is measured on.
    """
    rows = list(islice(examples, MOST_ROWS))
    if len(rows) < FEWEST_ROWS or any(row.group for row in rows):
        return None
    columns = _varying(rows)
    found: list[tuple[float, tuple[str, ...]]] = []
    for name, values in columns.items():
        if _is_asked_about(name, columns, rows):
            found.append((_effective(values), (name,)))
    if columns:
        whole = [_joined(row, columns) + _options(row) for row in rows]
        found.append((_effective(whole), tuple(columns)))
    narrow = [one for one in found if one[0] < NARROW * len(rows)]
    if not narrow:
        return None
    effective, fields = min(narrow, key=lambda one: (one[0], len(one[1])))
    different = len({tuple(row.fields[name] for name in fields) for row in rows})
    return RepeatedRows(
        task=task.name,
        fields=fields,
        values=different,
        rows=len(rows),
        effective=effective,
        advice=_advice(task, fields),
    )


def _varying(rows: Sequence[Example]) -> dict[str, list[str]]:
    """Field → its values, without fields that are the same in all rows."""
    names = [name for name in rows[0].fields if all(name in row.fields for row in rows)]
    columns = {name: [plain(row.fields[name]) for row in rows] for name in names}
    return {name: values for name, values in columns.items() if len(set(values)) > 1}


def _options(row: Example) -> str:
    """A row's options in any order."""
    return "\n".join(sorted(map(plain, row.options)))


def _joined(row: Example, columns: Sequence[str] | dict[str, list[str]]) -> str:
    return "\n".join(plain(row.fields[name]) for name in columns)


def _effective(values: Sequence[str]) -> float:
    """The number of independent rows if rows with the same value are copies; empty values never are."""
    counts = Counter(values)
    alone = counts.pop("", 0)
    return len(values) ** 2 / (alone + sum(count**2 for count in counts.values()))


def _is_asked_about(name: str, columns: dict[str, list[str]], rows: Sequence[Example]) -> bool:
    """Whether a field says what its rows are about, rather than what kind of question they ask."""
    own = columns[name]
    answers = [plain(row.references[0]) if row.references else "" for row in rows]
    rest = [_joined(row, [other for other in columns if other != name]) for row in rows]
    if len(set(answers)) > NARROW * len(rows):
        # Nearly all answers differ: the options, if there are any, are part of the question.
        rest = [f"{one}\n{_options(row)}".strip() for one, row in zip(rest, rows, strict=True)]
    kinds = len(set(rest))
    if kinds == 1 or (kinds <= MOST_KINDS and 2 * kinds <= len(set(own))):
        # There is nothing else in a row, or only the kind of question.
        return True
    if _decides(own, answers) and (len(set(answers)) >= FEWEST_ANSWERS or _effective(rest) < NARROW * len(rows)):
        return True
    share = sum(map(len, own)) / max(1, sum(map(len, own)) + sum(map(len, rest)))
    said = [f"{one} {answer}" for one, answer in zip(rest, answers, strict=True)]
    return share >= LEAST_SHARE and _rest_is_about(own, said)


def _decides(values: Sequence[str], answers: Sequence[str]) -> bool:
    """Whether rows with the same value nearly always have the same answer, and values recur at all."""
    by_value: dict[str, Counter[str]] = {}
    for value, answer in zip(values, answers, strict=True):
        by_value.setdefault(value, Counter())[answer] += 1
    again = [counts for counts in by_value.values() if counts.total() > 1]
    rows = sum(counts.total() for counts in again)
    return rows > 0 and sum(max(counts.values()) for counts in again) >= 0.95 * rows


def _rest_is_about(values: Sequence[str], rest: Sequence[str]) -> bool:
    """Whether a row's other words occur in its own value more often than in another row's."""
    different = list(dict.fromkeys(values))
    places = {value: place for place, value in enumerate(different)}
    looked_at = range(0, len(values), max(1, len(values) // _COMPARED))
    gained = lost = 0
    for at in looked_at:
        said = _words(rest[at])
        other = different[(places[values[at]] + 1 + at % (len(different) - 1)) % len(different)]
        here, there = len(said & _words(values[at])), len(said & _words(other))
        gained, lost = gained + (here > there), lost + (here < there)
    return gained > 2 * lost and gained >= len(looked_at) / 4


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def _advice(task: Task, fields: Sequence[str]) -> str:
    if isinstance(task.adapter, ConversationAdapter):
        return 'Give the rows a column that names it, and write below [conversation]: group = ["that column"]'
    if not isinstance(task.adapter, ColumnAdapter):
        return "Let the task's adapter give each Example a group."
    columns = [task.adapter.fields[name] for name in fields]
    if any(column.join is not None for column in columns):
        return 'Give the rows a column that names it, and write below [answer]: group = ["that column"]'
    return f"Write below [answer]: group = [{', '.join(json.dumps(one.column) for one in columns)}]"
