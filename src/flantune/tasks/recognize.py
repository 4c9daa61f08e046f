"""Recognizes the format of a user's own data: chats, instructions, prompts with completions, or texts with labels."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flantune.tasks.conversations import SPEAKER_KEYS, SPEAKERS, TEXT_KEYS, ConversationAdapter
from flantune.tasks.labels import written
from flantune.tasks.rows import BadRow
from flantune.tasks.sources.files import FileSource
from flantune.tasks.unrecognized import (
    MOST_LABELS,
    ROWS_A_LABEL,
    ROWS_A_NAMED_LABEL,
    is_empty,
    no_rows,
    tools_alone,
    turns_as_rows,
    unrecognized,
)

if TYPE_CHECKING:
    from flantune.types import Row

Form = Literal["conversation", "instruction", "completion", "labels"]
"""Turns of a chat; an instruction, an input that may be empty, and an output; a text and its answer; a text and one of
a few labels."""

ROWS = "rows"
"""The name of the only split of such a file."""
_LOOKED_AT = 10_000
_FEWEST_DIVIDED = 20
_BY_CHANCE = 1e-3
"""The probability below which a missing label at the end of shuffled rows is not chance."""

# Names of columns in other programs and their datasets, the likelier first.
_INSTRUCTIONS = ("instruction",)
_INPUTS = ("input", "context")
_OUTPUTS = ("output", "response", "answer", "completion")
_PROMPTS = ("prompt", "question", "query", "inputs", "input", "problem", "source")
_ANSWERS = ("completion", "response", "answer", "output", "targets", "target", "solution", "chosen")
_LABELS = ("label", "labels", "category", "class", "intent", "target")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognized:
    """A file that was recognized.

    Attributes:
        path: The file.
        form: The format of its rows.
        columns: The relevant columns: those with turns; instruction, input and output; prompt and answer; text and
            label.
        labels: The labels, the commonest first.
        rows: The number of rows if the file was read to its end, otherwise None.
        tool_rows: Conversations among the first 10,000 rows in which tools are called or offered.
        is_sorted: Some label is missing where the test rows would come from, and not by chance: the rows are sorted by
            it.
    """

    path: Path
    form: Form
    columns: tuple[str, ...]
    labels: tuple[str, ...] = ()
    rows: int | None = None
    is_sorted: bool = False
    tool_rows: int = 0

    @property
    def splits(self) -> dict[str, str]:
        """The training, dev and test rows; if there are few rows, all are for training.

        >>> Recognized(path=Path("a.csv"), form="labels", columns=("text", "label"), rows=200).splits
        {'train': 'rows[:80%]', 'dev': 'rows[80%:90%]', 'test': 'rows[90%:]'}
        """
        if self.rows is None:  # a limited number of test rows; more would take long and add little
            return {"train": f"{ROWS}[:-1000]", "dev": f"{ROWS}[-1000:-500]", "test": f"{ROWS}[-500:]"}
        if self.rows < _FEWEST_DIVIDED:
            return {"train": ROWS}
        return {"train": f"{ROWS}[:80%]", "dev": f"{ROWS}[80%:90%]", "test": f"{ROWS}[90%:]"}


def recognize(path: Path) -> Recognized:
    """The format of a file's rows, recognized from its columns and its first 10,000 rows.

    Raises:
        SourceError: The file cannot be read, or its rows have no known format.
    """
    source = FileSource(files={ROWS: str(path.resolve())})
    rows = list(islice(source.rows(ROWS), _LOOKED_AT + 1))
    good = [row for row in rows[:_LOOKED_AT] if isinstance(row, dict) and row]
    if not good:
        raise no_rows(path, rows)
    count = len(rows) if len(rows) <= _LOOKED_AT else None
    typical = _typical(good)
    if turns := _turn_columns(typical):
        tools = sum(_has_tools(row, turns) for row in good)
        if tools == len(good):
            raise tools_alone(path, good)
        return Recognized(path=path, form="conversation", columns=turns, rows=count, tool_rows=tools)
    if _are_turns_of_one_chat(good):
        raise turns_as_rows(path, good)
    instruction, output = _named(typical, _INSTRUCTIONS), _named(typical, _OUTPUTS)
    if instruction and output:
        context = _named(typical, _INPUTS) or _named(good[0], _INPUTS)
        columns = (instruction, *((context,) if context else ()), output)
        return Recognized(path=path, form="instruction", columns=columns, rows=count)
    prompt = _named(typical, _PROMPTS)
    if prompt and (answer := _named(typical, _ANSWERS)):
        return Recognized(path=path, form="completion", columns=(prompt, answer), rows=count)
    if (labeled := _labeled(good, path, count)) is not None:
        return labeled
    raise unrecognized(path, good, typical, label=_named_label(good))


def _typical(rows: Sequence[Row]) -> Row:
    """Each column with its first non-empty value, without columns that are empty in every row.

    >>> _typical([{"question": "Why?", "answer": " "}, {"question": "", "answer": "So.", "note": None}])
    {'question': 'Why?', 'answer': 'So.'}
    """
    found: dict[str, Any] = {}
    for row in rows:
        for name, value in row.items():
            if name not in found and not is_empty(value):
                found[name] = value
    return {name: found[name] for name in dict.fromkeys(name for row in rows for name in row) if name in found}


def _turn_columns(row: Row) -> tuple[str, ...]:
    """The columns with turns: one with the whole conversation, or one with the prompt and one with the reply."""
    holding = [name for name, value in row.items() if _are_turns(value)]
    prompts = [name for name in holding if name in _PROMPTS]
    answers = [name for name in holding if name in _ANSWERS]
    if prompts and answers:
        return (prompts[0], answers[0])
    return tuple(holding[:1])


def _has_tools(row: Row, columns: Sequence[str]) -> bool:
    """Whether a conversation is skipped because of tools, and not because it is bad for another reason."""
    try:
        return ConversationAdapter(columns=tuple(columns), tool_rows="drop")(row) is None
    except BadRow:
        return False


def _are_turns(value: Any) -> bool:
    if isinstance(value, str) and value.lstrip().startswith("[{"):
        try:
            value = json.loads(value)
        except ValueError:
            return False
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        return False
    return all(
        isinstance(turn, Mapping) and any(key in turn for key in SPEAKER_KEYS) and any(key in turn for key in TEXT_KEYS)
        for turn in value
    )


def _named(row: Row, names: Iterable[str]) -> str:
    """The first of the names that is a column with text, ignoring case."""
    columns = {name.lower(): name for name, value in row.items() if isinstance(value, str)}
    return next((columns[name] for name in names if name in columns), "")


def _are_turns_of_one_chat(rows: Sequence[Row]) -> bool:
    """Whether every row is itself a turn, by a speaker with a name that chat programs use."""
    return _are_turns(rows) and all(next(row[key] for key in SPEAKER_KEYS if key in row) in SPEAKERS for row in rows)


def _named_label(rows: Sequence[Row]) -> str:
    """The first column with a usual name for labels; empty: none."""
    return next((name for name in rows[0] if name.lower() in _LABELS), "")


def _labeled(rows: Sequence[Row], path: Path, count: int | None) -> Recognized | None:
    """A column with few values, and one with texts."""
    named = [name for name in rows[0] if name.lower() in _LABELS]
    label = next((name for name in named if _are_labels(rows, name, rows_each=ROWS_A_NAMED_LABEL)), None)
    if label is None:
        label = next(
            (name for name in reversed(list(rows[0])) if _are_labels(rows, name, rows_each=ROWS_A_LABEL)), None
        )
    texts = [name for name in rows[0] if name != label and all(isinstance(row.get(name), str) for row in rows)]
    texts = [name for name in texts if not all(is_empty(row[name]) for row in rows)]
    if label is None or not texts:
        return None
    text = max(texts, key=lambda name: sum(len(row[name]) for row in rows))
    values = [_text(row[label]) for row in rows if not is_empty(row.get(label))]
    tail = values[-max(1, len(values) // 10) :]
    common = Counter(values)
    return Recognized(
        path=path,
        form="labels",
        columns=(text, label),
        labels=tuple(value for value, _ in common.most_common()),
        rows=count,
        is_sorted=any(
            value not in tail and (1 - number / len(values)) ** len(tail) < _BY_CHANCE
            for value, number in common.items()
        ),
    )


def _are_labels(rows: Sequence[Row], name: str, *, rows_each: int) -> bool:
    """Whether a column has at least two values, but few for the number of rows."""
    values = [row.get(name) for row in rows]
    if not all(isinstance(value, str | int | bool | float) or is_empty(value) for value in values):
        return False
    kinds = {_text(value) for value in values if not is_empty(value)}
    return 2 <= len(kinds) <= min(MOST_LABELS, max(2, len(values) // rows_each))


def _text(value: object) -> str:
    return value if isinstance(value, str) else written(value)
