"""Questions asked in several wordings each, as T0 asks them: the score is the mean over wordings, beside the median.

Rows that belong together (a sentence with "he", and the same with "she") follow one another and share a group, so
that a limit never parts them and an interval never counts them as independent.
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
        fields: What wordings show of it: name of a slot → text.
        options: The answers to choose from.
        answer: Which of them is right.
        group: Rows of one group are one observation.
        sides: Groups of rows that are compared which it is in: "he", "stereotype", …
        text: The words by which it is looked for among training rows.
    """

    row: int
    fields: Mapping[str, str]
    options: tuple[str, ...]
    answer: int
    group: str
    sides: frozenset[str] = frozenset()
    text: str = ""


def limited(rows: Sequence[WordedRow], limit: int) -> tuple[WordedRow, ...]:
    """The first rows, whole groups of them: the last group may go beyond the limit; 0 means all.

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
        part: What the prompts' task is called.
        rows: The rows.
        wordings: Name → text with slots in braces; what fills a slot is never read as a slot.
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
    """The groups to compare, of those that have rows on both sides."""
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
    """What the rows were made from, with the words of each as they may stand in another dataset."""

    def texts() -> Iterator[tuple[int, Sequence[str]]]:
        return ((one.row, (one.text,)) for one in rows)

    return Measured(name=key, hub=hub, files=tuple(files), rows=texts)
