"""Labels in a user's own data: the column that holds them, and which of its values are one label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from flantune.tasks.labels import as_label, find_label
from flantune.tasks.rows import UnreadableRow, short
from flantune.tasks.unrecognized import MOST_LABELS, ROWS_A_LABEL, ROWS_A_NAMED_LABEL, is_empty

if TYPE_CHECKING:
    from flantune.types import Row

LABEL_NAMES = ("label", "labels", "category", "class", "intent", "target")
MOST_READ = 200_000
"""Labels of more rows are not read: the file may be sorted by them, but is then of no use as it is."""
FEW_TEST_ROWS = 1_000
_MOST_SPELLINGS = 4 * MOST_LABELS
_BY_CHANCE = 1e-3
"""The probability below which a missing label at the end of shuffled rows is not chance."""
_MOST_WITHOUT_TEXT = 0.2


@dataclass(slots=True)
class Column:
    """The values of a column that may hold labels.

    Attributes:
        values: The cells as texts, without empty ones.
        first_without: The first row without a value.
        without: Rows without a value.
        has_nan: One of these is NaN.
        lacking: Rows that do not have the column at all.
        broken: Rows whose text is not in the file's encoding.
        is_label_like: Whether there are no lists or tables, and few different values.
    """

    values: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    first_without: int = 0
    without: int = 0
    has_nan: bool = False
    lacking: int = 0
    broken: int = 0
    is_label_like: bool = True

    def add(self, row: Row, name: str, number: int) -> None:
        """Adds a row's value."""
        value = row.get(name)
        if name not in row:
            self.lacking += 1
        elif is_empty(value):
            self.first_without = self.first_without if self.without else number
            self.without += 1
            self.has_nan = self.has_nan or isinstance(value, float)
        elif not isinstance(value, str | int | bool | float):
            self.is_label_like = False
        else:
            self._add_text(value)

    def _add_text(self, value: Any) -> None:
        text = as_label(value)
        if not is_encodable(text):
            self.broken += 1
            return
        self.kinds[text] += 1
        self.values.append(text)
        self.is_label_like = len(self.kinds) <= _MOST_SPELLINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The labels of a column.

    Attributes:
        names: The labels, the commonest first.
        meant: Spelling → label, if some differ by case alone; otherwise empty.
        is_sorted: Some label is missing where the test rows would come from, and not by chance.
        drop: Values whose rows have no label.
        notes: What was done, for the user.
    """

    names: tuple[str, ...]
    meant: Mapping[str, str]
    is_sorted: bool
    drop: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The possible label columns of a file, with the number of its rows; None: more than were read."""

    columns: Mapping[str, Column]
    rows: int | None


def tally(rows: Iterable[Row], names: Iterable[str]) -> Tally:
    """Reads the columns that may hold labels, beyond the first rows, since a file may be sorted by its labels."""
    columns = {name: Column() for name in names}
    count = 0
    for number, row in enumerate(islice(rows, MOST_READ + 1)):
        count = number + 1
        if isinstance(row, UnreadableRow) or number == MOST_READ:
            continue
        for name in [name for name, column in columns.items() if not column.is_label_like]:
            del columns[name]
        for name, column in columns.items():
            column.add(row, name, number)
    kept = {name: column for name, column in columns.items() if column.is_label_like}
    return Tally(columns=kept, rows=count if count <= MOST_READ else None)


def label_column(found: Tally, count: int) -> str:
    """The column that holds labels: at least two values, but few for the number of rows; empty: none."""
    named = [name for name in found.columns if name.lower() in LABEL_NAMES]
    for names, rows_each in ((named, ROWS_A_NAMED_LABEL), (reversed(list(found.columns)), ROWS_A_LABEL)):
        for name in names:
            kinds = len(set(_spellings(found.columns[name].kinds).values()))
            if 2 <= kinds <= min(MOST_LABELS, max(2, count // rows_each)):
                return name
    return ""


def text_column(rows: Sequence[Row], label: str) -> str:
    """The column with the most text, if possible one that is filled in nearly every row; empty: none."""
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name != label]
    texts = [name for name in names if all(isinstance(row.get(name), str) or is_empty(row.get(name)) for row in rows)]
    sizes = {name: [len(row.get(name) or "") for row in rows if isinstance(row.get(name), str)] for name in texts}
    filled = {name: sum(not is_empty(row.get(name)) for row in rows) for name in texts}
    texts = [name for name in texts if filled[name]]
    least = (1 - _MOST_WITHOUT_TEXT) * len(rows)
    return max(texts, key=lambda name: (filled[name] >= least, sum(sizes[name])), default="")


def labels_of(name: str, found: Tally) -> Labels:
    """The labels of a column, each once however it is written."""
    column = found.columns[name]
    spellings = _spellings(column.kinds)
    counts = _summed(column.kinds, spellings)
    meant = _by_case(counts)
    names = _summed(counts, meant)
    labels = [meant[spellings[text]] for text in column.values]
    size = FEW_TEST_ROWS if len(labels) > 10 * FEW_TEST_ROWS else max(1, len(labels) // 10)
    tail = set(labels[-size:])
    missed = (kind for kind in names if kind not in tail)
    return Labels(
        names=tuple(text for text, _ in names.most_common()),
        meant={} if all(text == label for text, label in meant.items()) else meant,
        is_sorted=any((1 - names[kind] / len(labels)) ** size < _BY_CHANCE for kind in missed),
        drop=(("", "null") if column.has_nan else ("",)) if column.without else (),
        notes=tuple(_notes(name, column, spellings, meant, found.rows)),
    )


def _spellings(kinds: Counter[str]) -> dict[str, str]:
    """Value → the label that it is for a task file: spaces around it, TRUE and true, 1 and 1.0 make no difference."""
    labels: list[str] = []
    found: dict[str, str] = {}
    for text, _ in kinds.most_common():
        place = find_label(text, labels)
        if place is None:
            place = len(labels)
            labels.append(text.strip())
        found[text] = labels[place]
    return found


def _by_case(counts: Counter[str]) -> dict[str, str]:
    """Label → the commonest of those that differ from it by case alone."""
    commonest: dict[str, str] = {}
    for text, _ in counts.most_common():
        commonest.setdefault(text.casefold(), text)
    return {text: commonest[text.casefold()] for text, _ in counts.most_common()}


def _summed(counts: Counter[str], names: Mapping[str, str]) -> Counter[str]:
    summed: Counter[str] = Counter()
    for text, number in counts.items():
        summed[names[text]] += number
    return summed


def _notes(
    name: str, column: Column, spellings: Mapping[str, str], meant: Mapping[str, str], rows: int | None
) -> Iterable[str]:
    if same := [text for text, label in spellings.items() if text != label and meant[label] == label]:
        yield f"one label in several spellings: {_pairs(same, spellings)}"
    if cased := [text for text, label in meant.items() if text != label]:
        yield (
            f"labels that differ only by case are one: {_pairs(cased, meant)}; if they are not, change [answer] map in"
            " the task file"
        )
    if column.without:
        yield (
            f'{rows_of(column.without)} no label in column "{name}", first row {column.first_without} (counted from 0):'
            " left out by [answer] drop"
        )
    for count, what in ((column.lacking, f'no column "{name}"'), (column.broken, f'a broken text in "{name}"')):
        if count:
            yield f"{rows_of(count)} {what}: bad rows, of which a run accepts 1%"
    if rows is None:
        yield f"labels are those of the first {MOST_READ:,} rows"


def rows_of(count: int) -> str:
    """So many rows have.

    >>> rows_of(1), rows_of(1200)
    ('1 row has', '1,200 rows have')
    """
    return f"{count:,} row{' has' if count == 1 else 's have'}"


def _pairs(texts: Sequence[str], labels: Mapping[str, str]) -> str:
    said = ", ".join(f"{short(text, width=30)} is {short(labels[text], width=30)}" for text in texts[:4])
    return f"{said}, …" if len(texts) > 4 else said


def is_encodable(text: str) -> bool:
    """Whether a text is free of bytes that could not be decoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
