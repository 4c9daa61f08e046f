"""Bad rows: how they are raised, named and detected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from flantune.types import Example, Kind

MISSING_COLUMN = "missing column"
MISSING_VALUE = "missing value"
NOT_TEXT = "not text"
EMPTY_TARGET = "empty target"
NOT_AN_OPTION = "answer not among options"
AMBIGUOUS = "answer with two readings"
OUT_OF_RANGE = "label out of range"
BAD_OPTIONS = "unusable options"
BROKEN_ENCODING = "broken encoding"
NOT_JSON = "not valid JSON"
NOT_AN_OBJECT = "not an object"
WRONG_COLUMNS = "wrong number of columns"
BROKEN_QUOTING = "broken quoting"
OTHER_FIELDS = "other fields than the first row"
TOOL_CALLS = "tool calls"


class BadRow(Exception):  # noqa: N818 - named for what an adapter says: raise BadRow(...)
    """Raised by an adapter for a row that cannot become an example; the row is counted under its reason.

    Attributes:
        reason: A few words, the same for all rows with this fault, which are counted together.
        detail: What the row has, and what was expected.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, detail
        super().__init__(reason, detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRowNote:
    """Where one bad row is and what is wrong with it.

    Attributes:
        reason: The reason it was counted under.
        row: Zero-based number of the raw row in its source split.
        detail: What the row has, and what was expected.
    """

    reason: str
    row: int
    detail: str


def reason_lines(counts: Mapping[str, int], notes: Sequence[BadRowNote]) -> Iterator[str]:
    """Each reason with its count and its first row, one line per reason.

    Args:
        counts: Reason → bad rows.
        notes: The first of them, at least one per reason.
    """
    for reason, count in counts.items():
        first = next(note for note in notes if note.reason == reason)
        yield f"{count:,} × {reason}, first in row {first.row} (counted from 0): {first.detail}"


class TableRow(dict[str, Any]):
    """A row of a text file, with the number of its line, counted from 1, for messages."""

    __slots__ = ("line",)
    line: int


class UnreadableRow(Mapping[str, Any]):
    """A placeholder for a row that could not be parsed, so that reading continues and rows keep their numbers.

    Reading any column raises ``BadRow``.
    """

    __slots__ = ("detail", "reason")

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail

    def _refuse(self) -> NoReturn:
        raise BadRow(self.reason, self.detail)

    def __getitem__(self, column: str) -> Any:
        self._refuse()

    def __iter__(self) -> Iterator[str]:
        self._refuse()

    def __len__(self) -> int:
        self._refuse()


def check_example(example: Example, kind: Kind) -> None:
    """Makes sure that an adapted row can be asked, trained on and scored.

    Raises:
        BadRow: It cannot; the reason says why.
    """
    check_texts(example)
    if not example.references or not example.references[0].strip():
        raise BadRow(EMPTY_TARGET, "got no text to train on")
    if kind == "classification":
        _check_choice(example)
    elif example.options or example.answer is not None:
        raise BadRow(BAD_OPTIONS, "got options in a generation task; expected none")


def check_texts(example: Example) -> None:
    """Makes sure that every text of an example can be encoded as UTF-8.

    Raises:
        BadRow: A text cannot be encoded.
    """
    try:
        "".join((*example.fields.values(), *example.options, *example.references)).encode()
    except (TypeError, UnicodeEncodeError):
        for where, text in _named_texts(example):
            _check_text(where, text)


def _named_texts(example: Example) -> Iterator[tuple[str, object]]:
    yield from ((f"the field {name}", text) for name, text in example.fields.items())
    yield from ((f"option {number}", text) for number, text in enumerate(example.options))
    yield from ((f"reference {number}", text) for number, text in enumerate(example.references))


def _check_text(where: str, text: object) -> None:
    if is_missing(text):
        raise BadRow(MISSING_VALUE, f"got {'null' if text is None else 'NaN'} in {where}; expected text")
    if not isinstance(text, str):
        raise BadRow(NOT_TEXT, f"got {type(text).__name__} {short(text)} in {where}; expected text")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        # Undecodable bytes arrive as lone surrogates (PEP 383); so do escaped half pairs in JSON.
        around = error.object[max(0, error.start - 20) : error.end + 20]
        raise BadRow(BROKEN_ENCODING, f"in {where}, near {around!a}") from None


def _check_choice(example: Example) -> None:
    options, answer = example.options, example.answer
    if len(options) < 2:
        raise BadRow(BAD_OPTIONS, f"got {short(list(options))}; expected at least two")
    if answer is None:
        raise BadRow(NOT_AN_OPTION, f"got no answer; expected one of {short(list(options))}")
    if not 0 <= answer < len(options):
        raise BadRow(OUT_OF_RANGE, f"got {answer}; expected 0 to {len(options) - 1}")
    if not all(option.strip() for option in options):
        raise BadRow(BAD_OPTIONS, f"got an empty option in {short(list(options))}")
    if options.count(options[answer]) > 1:
        raise BadRow(BAD_OPTIONS, f"got the right answer {short(options[answer])} twice among the options")
    if example.references[0] != options[answer]:
        raise BadRow(
            NOT_AN_OPTION, f"got reference {short(example.references[0])}; expected option {short(options[answer])}"
        )


def is_missing(value: object) -> bool:
    """Whether a cell is empty: null or NaN of any type. The text "nan" is a text.

    >>> is_missing(None), is_missing(float("nan")), is_missing("nan"), is_missing("")
    (True, True, False, False)
    """
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:  # pandas' own
        return True
    try:
        return not isinstance(value, str | list | tuple | dict) and bool(value != value)
    except (TypeError, ValueError):
        return False  # an array, which compares element by element


def short(value: object, *, width: int = 80) -> str:
    """A value as shown in messages: on one line and not too long.

    >>> short("so " * 40, width=20)
    '"so so so so so so…"'
    """
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    text = text.encode("utf-8", "backslashreplace").decode().replace("\n", "\\n").replace("\t", "\\t")
    if len(text) <= width:
        return text
    return f"{text[: width - 2]}…{text[-1]}"
