"""Excerpts of overlaps: the words two rows share, and where each of them is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from flantune.contamination.compared_rows import WHOLE_ROW, ComparedRows
from flantune.contamination.findings import ShownOverlap

_MAX_SPAN_WORDS = 40
_SEED_WORDS = 3


def longest_shared_run(one: Sequence[str], other: Sequence[str]) -> list[str]:
    """The longest run of words that two texts share, of at least three words.

    >>> longest_shared_run("so it goes on and on".split(), "well it goes on and off".split())
    ['it', 'goes', 'on', 'and']
    """
    places = defaultdict[tuple[str, ...], list[int]](list)
    for k in range(len(other) - _SEED_WORDS + 1):
        places[tuple(other[k : k + _SEED_WORDS])].append(k)
    best = (0, 0)
    for start in range(len(one) - _SEED_WORDS + 1):
        for place in places.get(tuple(one[start : start + _SEED_WORDS]), ()):
            if start and place and one[start - 1] == other[place - 1]:
                continue  # part of a run that began earlier
            size = _run_size(one, other, start, place)
            best = max(best, (size, -start))
    return list(one[-best[1] : -best[1] + best[0]])


def _run_size(one: Sequence[str], other: Sequence[str], start: int, place: int) -> int:
    size = 0
    while start + size < len(one) and place + size < len(other) and one[start + size] == other[place + size]:
        size += 1
    return size


def shorten(words: Sequence[str]) -> str:
    """Words as text, a long run cut in the middle.

    >>> shorten(["a"] * 3), len(shorten(["a"] * 100).split())
    ('a a a', 41)
    """
    if len(words) <= _MAX_SPAN_WORDS:
        return " ".join(words)
    half = _MAX_SPAN_WORDS // 2
    return " ".join([*words[:half], "…", *words[-half:]])


def field_name(names: tuple[str, ...], number: int) -> str:
    """The name of a row's text: its field, "(answer)" for a reference, "(row)" for the whole row."""
    if number == WHOLE_ROW:
        return "(row)"
    return names[number] if number < len(names) else "(answer)"


def show_overlap(
    measured: ComparedRows, place: tuple[int, int], train: ComparedRows, train_place: tuple[int, int]
) -> ShownOverlap:
    """The words that two texts share, each given as (row, number of the text)."""
    span = longest_shared_run(measured.strings(*place), train.strings(*train_place))
    return _shown(measured, place, train, train_place, span=shorten(span), words=len(span))


def show_duplicate(
    measured: ComparedRows, row: int, train: ComparedRows, train_row: int, *, jaccard: float
) -> ShownOverlap:
    """Near duplicates, shown by the training row's words."""
    span = shorten(train.strings(train_row, WHOLE_ROW))
    return _shown(measured, (row, WHOLE_ROW), train, (train_row, WHOLE_ROW), span=span, jaccard=jaccard)


def _shown(
    measured: ComparedRows,
    place: tuple[int, int],
    train: ComparedRows,
    train_place: tuple[int, int],
    *,
    span: str,
    words: int = 0,
    jaccard: float | None = None,
) -> ShownOverlap:
    task, train_task = (int(c.tasks_of(np.asarray(p[0]))) for c, p in ((measured, place), (train, train_place)))
    return ShownOverlap(
        row=measured.example(place[0]).row,
        field=field_name(measured.field_names(task), place[1]),
        train_task=train.names[train_task],
        train_row=train.example(train_place[0]).row,
        train_field=field_name(train.field_names(train_task), train_place[1]),
        span=span,
        words=words,
        jaccard=jaccard,
    )
