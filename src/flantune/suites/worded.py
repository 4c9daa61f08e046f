"""Questions asked in several wordings each, as in T0: the score is the mean over wordings, along with the median.

Related rows (a sentence with "he", and the same with "she") are adjacent and share a group, so a limit never separates
them and an interval never treats them as independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from flantune.contamination.training_record import Measured
from flantune.evaluation.exams import Question, RowGap, asked
from flantune.types import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class WordedRow:
    """One row of a benchmark.

    Attributes:
        row: Its number in the source.
        fields: Its fields for the wordings: name of a slot → text.
        options: The answers to choose from.
        answer: Index of the right one.
        group: Rows of one group count as one observation.
        sides: Its groups, which are compared with others: "he", "stereotype", …
        text: The text that is searched for in training rows.
    """

    row: int
    fields: Mapping[str, str]
    options: tuple[str, ...]
    answer: int
    group: str
    sides: frozenset[str] = frozenset()
    text: str = ""


def limited(rows: Sequence[WordedRow], limit: int) -> tuple[WordedRow, ...]:
    """The first rows in whole groups, so the last group may exceed the limit; 0: all.

    >>> rows = [WordedRow(row=n, fields={}, options=(), answer=0, group=str(n // 2)) for n in range(6)]
    >>> [one.row for one in limited(rows, 3)]
    [0, 1, 2, 3]
    """
    kept: list[WordedRow] = []
    for _, members in groupby(rows, key=lambda one: one.group):
        if limit and len(kept) >= limit:
            break
        kept += members
    return tuple(kept)


def worded_questions(part: str, rows: Iterable[WordedRow], wordings: Mapping[str, str]) -> tuple[Question, ...]:
    """Every row in every wording, without exemplars.

    Args:
        part: Name of the prompts' task.
        rows: The rows.
        wordings: Name → text with slots in braces; the text in a slot is never read as a slot.
    """
    return asked((_prompt(part, one, name, text) for one in rows for name, text in wordings.items()), shots=0)


def _prompt(part: str, row: WordedRow, name: str, text: str) -> Prompt:
    options = tuple(f" {option}" for option in row.options)
    return Prompt(
        task=part,
        split="test",
        row=row.row,
        template=name,
        inputs=text.format_map(row.fields),
        targets=options[row.answer],
        options=options,
        answer=row.answer,
        references=(row.options[row.answer],),
        group=row.group,
    )


def row_gaps(rows: Sequence[WordedRow], pairs: Iterable[tuple[str, str]]) -> tuple[RowGap, ...]:
    """The pairs of groups to compare, if both have rows."""
    members: dict[str, set[int]] = {}
    for one in rows:
        for side in one.sides:
            members.setdefault(side, set()).add(one.row)
    return tuple(
        RowGap(
            first=first,
            second=second,
            first_rows=frozenset(members[first]),
            second_rows=frozenset(members[second]),
        )
        for first, second in pairs
        if first in members and second in members
    )


def measured_rows(key: str, rows: Sequence[WordedRow], *, hub: str, files: Iterable[Path] = ()) -> Measured:
    """The source rows, each with its text as it may occur in another dataset."""

    def texts() -> Iterator[tuple[int, Sequence[str]]]:
        return ((one.row, (one.text,)) for one in rows)

    return Measured(name=key, hub=hub, files=tuple(files), rows=texts)
