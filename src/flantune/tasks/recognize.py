"""Recognizes the format of a user's own data: chats, instructions, prompts with completions, or texts with labels."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from flantune.errors import SourceError
from flantune.tasks.conversations import SPEAKER_KEYS, SPEAKERS, TEXT_KEYS, ConversationAdapter
from flantune.tasks.recognize_labels import (
    LABEL_NAMES,
    is_encodable,
    label_column,
    labels_of,
    rows_of,
    tally,
    text_column,
)
from flantune.tasks.recognized import LOOKED_AT, ROWS, FirstRows, Recognized, Sizes, notes_on_columns, notes_on_file
from flantune.tasks.rows import BadRow, short
from flantune.tasks.sources.files import FileSource
from flantune.tasks.sources.sniffed import sniffed_format
from flantune.tasks.unrecognized import (
    is_empty,
    no_rows,
    tools_alone,
    turns_as_rows,
    unknown_name,
    unrecognized,
    without_task_file,
)

if TYPE_CHECKING:
    from pathlib import Path

    from flantune.tasks.recognize_labels import Tally
    from flantune.tasks.sources.formats import FileFormat
    from flantune.types import Row

# Names of columns in other programs and their datasets, the likelier first.
_CHATS = ("messages", "conversations", "conversation")
_INSTRUCTIONS = ("instruction",)
_INPUTS = ("input", "context")
_OUTPUTS = ("output", "response", "answer", "completion")
_PROMPTS = ("prompt", "question", "query", "inputs", "input", "problem", "source")
_ANSWERS = ("completion", "response", "answer", "output", "targets", "target", "solution", "chosen")
_SYSTEMS = ("system", "system_prompt", "system_message")
_REJECTED = "reject"
"""What the names of columns with the worse answer of two have in common."""


def recognize(path: Path, *, like: Recognized | None = None) -> Recognized:
    """The format of a file's rows, recognized from its columns and its first rows; labels are read from all.

    Args:
        path: The file.
        like: A file whose form this one has too, if it has its columns.

    Raises:
        SourceError: The file cannot be read, or its rows have no known format.
    """
    try:
        return _recognized(path, like)
    except SourceError as error:
        if "cannot tell the format by the name" in error.message:
            raise unknown_name(path) from None
        raise without_task_file(error) from error


def _recognized(path: Path, like: Recognized | None) -> Recognized:
    file_format = sniffed_format(path)
    read = _read(path, file_format)
    typical = _typical(read.good)
    is_like = like is not None and {*like.columns, *filter(None, [like.system])} <= typical.keys()
    found = (
        (_in_form(read, like) if like is not None and is_like else None)
        or _chats(read, typical)
        or _instructions(read, typical)
        or _completions(read, typical)
        or _labeled(read, typical)  # raises if there are no labels either
    )
    used = {*found.columns, found.system}
    unused = [name for name in typical if name not in used]
    sizes = [sum(_size(row.get(name)) for name in used) for row in read.good]
    return replace(
        found,
        file_format=file_format,
        rows=found.rows if found.rows is not None else len(read.rows) if read.is_whole else None,
        sizes=Sizes(mean=sum(sizes) / len(sizes), longest=max(sizes) if read.is_whole else 0),
        notes=(*notes_on_file(file_format, read, found), *notes_on_columns(read, found, typical, unused), *found.notes),
    )


def _read(path: Path, file_format: FileFormat) -> FirstRows:
    """The first rows.

    Raises:
        SourceError: None can be read.
    """
    rest = FileSource(files={ROWS: str(path.resolve())}, form=file_format).rows(ROWS)
    rows = list(islice(rest, LOOKED_AT + 1))
    is_whole = len(rows) <= LOOKED_AT
    if not is_whole:
        rest = chain([rows.pop()], rest)
    good: list[Row] = [row for row in rows if isinstance(row, dict) and row]
    if not good:
        raise no_rows(path, rows)
    names = dict.fromkeys(name for row in good for name in row)
    if broken := next((name for name in names if not is_encodable(name)), None):
        what = f"the name of its column {short(broken)} is not UTF-8 text"
        raise SourceError(what, where=str(path), hint="save it as UTF-8")
    rejected = tuple(name for name in names if _REJECTED in name.lower())
    if rejected:
        rows = [_without(row, rejected) if isinstance(row, dict) else row for row in rows]
        good = [row for row in rows if isinstance(row, dict) and row]
    if not good:
        what = f'has only rejected answers, in its column "{rejected[0]}"'
        raise SourceError(what, where=str(path), hint='what is to be learned belongs in a column "chosen"')
    return FirstRows(path=path, rows=rows, good=good, rest=rest, is_whole=is_whole, rejected=rejected)


def _without(row: Row, names: Sequence[str]) -> Row:
    return {name: value for name, value in row.items() if name not in names}


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


def _chats(read: FirstRows, typical: Row) -> Recognized | None:
    turns = _turn_columns(typical)
    if not turns:
        if _are_turns_of_one_chat(read.good):
            raise turns_as_rows(read.path, read.good)
        return None
    return _conversation(read, turns, _named(typical, _SYSTEMS))


def _conversation(read: FirstRows, columns: tuple[str, ...], system: str) -> Recognized:
    """Conversations, with the reasons why some of them cannot be used."""
    adapter = ConversationAdapter(columns=columns, system=system, tool_rows="drop")
    tools, bad = 0, Counter[str]()
    first: dict[str, str] = {}
    for number, row in enumerate(read.rows):
        if not isinstance(row, dict) or not row:
            continue
        try:
            tools += adapter(row) is None
        except BadRow as error:
            bad[error.reason] += 1
            first.setdefault(error.reason, f"first row {number} (counted from 0): {error.detail}")
    if tools == len(read.good):
        raise tools_alone(read.path, read.good)
    return Recognized(
        path=read.path,
        form="conversation",
        columns=columns,
        system=system,
        tool_rows=tools,
        notes=tuple(f"bad rows ({reason}): {count:,}, {first[reason]}" for reason, count in bad.items()),
    )


def _turn_columns(row: Row) -> tuple[str, ...]:
    """The columns with turns: one with the whole conversation, or one with the prompt and one with the reply."""
    holding = {name: _turns_in(value) for name, value in row.items() if _turns_in(value)}
    if whole := next((name for name in _CHATS if name in holding), ""):
        return (whole,)
    answer = next((name for name in _ANSWERS if name in holding), "")
    texts = {name for name in _PROMPTS if isinstance(row.get(name), str)} - {"source"}
    prompt = next((name for name in _PROMPTS if name in holding or name in texts), "")
    if answer and prompt and not _holds_prompt(holding[answer], holding.get(prompt)):
        return (prompt, answer)
    return (answer,) if answer else tuple(holding)[:1]


def _holds_prompt(reply: Sequence[Any], prompt: Sequence[Any] | None) -> bool:
    """Whether a column of replies has the prompt too: it begins like the prompt, or with somebody else's turn."""
    if prompt is not None:
        return bool(reply[0] == prompt[0])
    return SPEAKERS.get(str(next((reply[0][key] for key in SPEAKER_KEYS if key in reply[0]), ""))) != "assistant"


def _turns_in(value: Any) -> Sequence[Any]:
    """The turns of a cell; empty if it holds something else."""
    if isinstance(value, str) and value.lstrip().startswith("[{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return ()
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    are_turns = all(
        isinstance(turn, Mapping) and any(key in turn for key in SPEAKER_KEYS) and any(key in turn for key in TEXT_KEYS)
        for turn in value
    )
    return value if are_turns else ()


def _named(row: Row, names: Iterable[str]) -> str:
    """The first of the names that is a column with text, ignoring case."""
    columns = {name.lower(): name for name, value in row.items() if isinstance(value, str)}
    return next((columns[name] for name in names if name in columns), "")


def _are_turns_of_one_chat(rows: Sequence[Row]) -> bool:
    """Whether every row is itself a turn, by a speaker with a name that chat programs use."""
    return bool(_turns_in(rows)) and all(
        next(row[key] for key in SPEAKER_KEYS if key in row) in SPEAKERS for row in rows
    )


def _instructions(read: FirstRows, typical: Row) -> Recognized | None:
    instruction, output = _named(typical, _INSTRUCTIONS), _named(typical, _OUTPUTS)
    if not (instruction and output):
        return None
    context = _named(typical, _INPUTS) or _named(read.good[0], _INPUTS)
    columns = (instruction, *((context,) if context else ()), output)
    system = _named(typical, _SYSTEMS)
    return _answered(Recognized(path=read.path, form="instruction", columns=columns, system=system), read)


def _completions(read: FirstRows, typical: Row) -> Recognized | None:
    prompt, answer = _named(typical, _PROMPTS), _named(typical, _ANSWERS)
    if not (prompt and answer):
        return None
    if system := _named(typical, _SYSTEMS):
        return _conversation(read, (prompt, answer), system)
    return _answered(Recognized(path=read.path, form="completion", columns=(prompt, answer)), read)


def _answered(found: Recognized, read: FirstRows) -> Recognized:
    """With rows that have no answer left out, and those without a question told."""
    asked, answer = found.columns[0], found.columns[-1]
    dumb = [at for at, row in enumerate(read.rows) if _is_row(row) and answer in row and is_empty(row[answer])]
    mute = [at for at, row in enumerate(read.rows) if _is_row(row) and is_empty(row.get(asked))]
    notes = []
    if dumb:
        said = f'{rows_of(len(dumb))} no answer in column "{answer}", first row {dumb[0]} (counted from 0)'
        notes.append(f"{said}: left out by [answer] drop")
    if mute:
        notes.append(_textless(mute, asked))
    return replace(found, drop=("", "null") if dumb else (), notes=tuple(notes))


def _is_row(row: Row) -> bool:
    return isinstance(row, dict) and bool(row)


def _textless(numbers: Sequence[int], column: str) -> str:
    said = f'{rows_of(len(numbers))} no text in column "{column}", first row {numbers[0]} (counted from 0)'
    return f"{said}: take them out, or a run stops if they are more than 1%"


def _labeled(read: FirstRows, typical: Row) -> Recognized:
    """A column with few values, and one with texts.

    Raises:
        SourceError: There are no such columns.
    """
    found = tally(chain(read.rows, read.rest), typical)
    label = label_column(found, len(read.good))
    text = text_column(read.good, label) if label else ""
    if not text:
        named = next((name for name in typical if name.lower() in LABEL_NAMES), "")
        named = named or next((name for name in read.good[0] if name.lower() in LABEL_NAMES), "")
        raise unrecognized(read.path, read.rows, typical, label=named, read=found.rows)
    return _with_labels(read, found, text, label)


def _in_form(read: FirstRows, like: Recognized) -> Recognized:
    """The rows in the form of another file."""
    if like.form == "conversation":
        return _conversation(read, like.columns, like.system)
    if like.form == "labels":
        text, label = like.columns
        found = tally(chain(read.rows, read.rest), [label])
        if label in found.columns:
            return _with_labels(read, found, text, label)
    return _answered(Recognized(path=read.path, form=like.form, columns=like.columns, system=like.system), read)


def _with_labels(read: FirstRows, found: Tally, text: str, label: str) -> Recognized:
    labels = labels_of(label, found)
    mute = [at for at, row in enumerate(read.rows) if _is_row(row) and is_empty(row.get(text))]
    return Recognized(
        path=read.path,
        form="labels",
        columns=(text, label),
        labels=labels.names,
        meant=labels.meant,
        drop=labels.drop,
        rows=found.rows,
        is_sorted=labels.is_sorted,
        notes=(*labels.notes, *([_textless(mute, text)] if mute else [])),
    )


def _size(value: Any) -> int:
    """The bytes of all texts in a cell."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    return sum(map(_size, value)) if isinstance(value, list | tuple) else len(str(value))
