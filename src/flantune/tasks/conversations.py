"""Conversations as rows: a list of turns in a column becomes an example that asks for one of its replies."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, Literal

from flantune.prompts.conversations import SLOT, SYSTEM, turn_text
from flantune.settings.conversations import TURN_FORMS
from flantune.tasks.columns import FieldColumn, as_text, field_text, find_value
from flantune.tasks.labels import written
from flantune.tasks.rows import MISSING_COLUMN, MISSING_VALUE, NOT_TEXT, TOOL_CALLS, BadRow, is_missing, short
from flantune.tasks.tool_calls import offered_tools, tool_turn
from flantune.types import Example, Row, Turn

TrainsOn = Literal["every", "drawn", "last"]
ToolRows = Literal["refuse", "drop"]

USER, ASSISTANT, ANYONE = "user", "assistant", "anyone"
SPEAKER_KEYS = ("role", "from", "speaker")
TEXT_KEYS = ("content", "value", "text", "utterance")
SPEAKERS = {
    **dict.fromkeys((SYSTEM, "developer"), SYSTEM),
    **dict.fromkeys((USER, "human"), USER),
    **dict.fromkeys((ASSISTANT, "gpt", "chatgpt", "bot", "model"), ASSISTANT),
}
"""Names known by default: those of chat programs."""

_NO_TOOLS = (
    "tool calls cannot be taught, and without them the rest would mean something else;"
    ' [conversation] tool_rows = "drop" leaves such rows out'
)
UNKNOWN_SPEAKER = "unknown speaker"
NO_REPLY = "no reply to ask for"
# Increased whenever the code below makes a different example of a row.
_CODE_VERSION = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationAdapter:
    """A row with a list of turns → an example that asks for one of its replies.

    Attributes:
        columns: Where the turns are: lists of turns, or texts that are one turn each, in order.
        speaker: The key of a turn's speaker; empty: one of the usual keys.
        text: The key of a turn's text; empty: one of the usual keys.
        speakers: Speaker in the data → speaker in the prompt, in addition to the names that chat programs use.
        alternating: The speakers, in alternation, if turns are only texts.
        system: A column with instructions to the assistant; empty: none.
        replies_of: Whose turns are targets; "anyone": all that answer somebody.
        trains_on: "last": only the last of them.
        drops_opening: Leave out what the replying speaker says before anybody else, such as a greeting.
        max_turns: Replies with more turns before them are not targets; 0: no limit.
        fields: Additional slots → columns.
        group: Columns whose values together identify the group of a conversation; empty: it is independent.
        tool_rows: Conversations with tools, whose calls cannot be trained on: "refuse" counts them as bad rows, "drop"
            drops them.
    """

    columns: tuple[str, ...]
    speaker: str = ""
    text: str = ""
    speakers: Mapping[str, str] = field(default_factory=dict)
    alternating: tuple[str, str] = (USER, ASSISTANT)
    system: str = ""
    replies_of: str = ASSISTANT
    trains_on: TrainsOn = "every"
    drops_opening: bool = False
    max_turns: int = 0
    fields: Mapping[str, FieldColumn] = field(default_factory=dict)
    group: tuple[str, ...] = ()
    tool_rows: ToolRows = "refuse"

    def __call__(self, row: Row) -> Example | None:
        """Adapts a row; None for one with tools that is dropped on purpose.

        Raises:
            BadRow: There are no turns, or none that can be a target; or tools are called or offered.
        """
        items = [(column, item) for column in self.columns for item in _items(find_value(row, column), column)]
        if tools := self._tools(row, items):
            if self.tool_rows == "drop":
                return None
            raise BadRow(TOOL_CALLS, f"got {tools}; {_NO_TOOLS}")
        turns = list(self._turns(row, [item for _, item in items]))
        if self.drops_opening:
            turns = _without_opening(turns, self.replies_of)
        replies = [
            at
            for at, turn in enumerate(turns)
            if self._may_be_asked(turn) and _answers(turns, at) and not 0 < self.max_turns < _said(turns[:at])
        ]
        if not replies:
            who = "anyone" if self.replies_of == ANYONE else f'"{self.replies_of}"'
            speakers = ", ".join(dict.fromkeys(turn.speaker for turn in turns))
            count = f"{len(turns)} turn{'s' * (len(turns) != 1)}"
            empty = self._empty_reply([item for _, item in items])
            got = f"an empty reply in turn {empty}" if empty else f"{count} of {speakers or 'nobody'}"
            raise BadRow(NO_REPLY, f"got {got}; expected a reply of {who}")
        if self.trains_on == "last":
            replies = replies[-1:]
        own = {slot: field_text(row, column) for slot, column in self.fields.items()}
        group = "/".join(as_text(find_value(row, path), path) for path in self.group)
        return conversation_example(turns[: replies[-1] + 1], replies, fields=own, group=group)

    def _may_be_asked(self, turn: Turn) -> bool:
        return turn.speaker != SYSTEM and self.replies_of in (ANYONE, turn.speaker)

    def _empty_reply(self, items: Sequence[Any]) -> int:
        """The number of the last turn that would be a reply if it had a text, counted from 1; 0: there is none."""
        turns = [self._turn(item, at) for at, item in enumerate(items)]
        said = [at for at, turn in enumerate(turns) if turn.text.strip()]
        empty = (at for at, turn in enumerate(turns) if at not in said and self._may_be_asked(turn))
        return max((at + 1 for at in empty if any(turns[k].speaker != SYSTEM for k in said if k < at)), default=0)

    def _tools(self, row: Row, items: Sequence[tuple[str, Any]]) -> str:
        """What in a row involves tools, and where; empty: nothing."""
        keys = (self.speaker,) if self.speaker else SPEAKER_KEYS
        for number, (column, item) in enumerate(items, start=1):
            if found := tool_turn(item, keys, named=self.speakers):
                return f'{found} in turn {number} of column "{column}"'
        return offered_tools(row)

    def _turns(self, row: Row, items: Sequence[Any]) -> Iterable[Turn]:
        turns = [self._turn(item, at) for at, item in enumerate(items)]
        if self.system and not is_missing(told := find_value(row, self.system)):
            turns.insert(0, Turn(SYSTEM, as_text(told, self.system)))
        return merged(turns)

    def _turn(self, item: Any, at: int) -> Turn:
        if not isinstance(item, Mapping):
            return Turn(self.alternating[at % 2], as_text(item, self.columns[0]))
        speaker, text = _value(item, self.speaker, SPEAKER_KEYS), _value(item, self.text, TEXT_KEYS)
        return Turn(self._name(speaker), _said_text(text, self.columns[0]))

    def _name(self, value: Any) -> str:
        known = {**SPEAKERS, **self.speakers}
        name = value if isinstance(value, str) else written(value)
        if name in known:
            return known[name]
        got = f"got {short(value)}; expected one of {', '.join(map(short, known))}"
        line = f'[conversation] speakers = {{ {json.dumps(name[:40])} = "user" }}'
        raise BadRow(UNKNOWN_SPEAKER, f"{got}; {line} would say who it is")

    @property
    def fingerprint(self) -> str:
        """Changes when the mapping or the code does."""
        return sha256(json.dumps(["conversation", _CODE_VERSION, asdict(self)]).encode()).hexdigest()


def conversation_example(
    turns: Sequence[Turn], replies: Sequence[int], *, fields: Mapping[str, str] | None = None, group: str = ""
) -> Example:
    r"""An example that asks for one of the replies of a conversation; for adapters in Python.

    >>> said = [Turn("user", "Hello?"), Turn("assistant", "Yes."), Turn("user", "Why?"), Turn("assistant", "So.")]
    >>> example = conversation_example(said, [1, 3])
    >>> example.fields["conversation"], example.references
    ('User: Hello?\nAssistant: Yes.\nUser: Why?', ('So.',))

    Args:
        turns: All turns; neighbors are of different speakers.
        replies: Places in ``turns`` of the possible targets, in order; at least one, and the last is the last turn.
        fields: Additional slots.
        group: Conversations of one group belong together.
    """
    shown = "".join(turn_text(turn.speaker, turn.text, TURN_FORMS[0]) for turn in turns[: replies[-1]]).rstrip()
    return Example(
        row=0,
        fields={SLOT: shown, **(fields or {})},
        references=(turns[replies[-1]].text,),
        group=group,
        turns=tuple(turns),
        replies=tuple(replies),
    )


def merged(turns: Iterable[Turn]) -> list[Turn]:
    r"""The turns without empty ones; consecutive turns of one speaker are joined, one per line.

    >>> merged([Turn("user", "Hm."), Turn("user", "Why?"), Turn("assistant", " "), Turn("assistant", "So.")])
    [Turn(speaker='user', text='Hm.\nWhy?'), Turn(speaker='assistant', text='So.')]
    """
    found: list[Turn] = []
    for turn in turns:
        if not turn.text.strip():
            continue
        if found and found[-1].speaker == turn.speaker:
            found[-1] = Turn(turn.speaker, f"{found[-1].text}\n{turn.text.strip()}")
        else:
            found.append(Turn(turn.speaker, turn.text.strip()))
    return found


def _without_opening(turns: list[Turn], replies_of: str) -> list[Turn]:
    """Without what the replying speaker says before anybody else; if anyone may reply, without the first turn."""
    system = [turn for turn in turns if turn.speaker == SYSTEM]
    said = [turn for turn in turns if turn.speaker != SYSTEM]
    is_opening = said and replies_of in (ANYONE, said[0].speaker)
    return [*system, *said[1:]] if is_opening else turns


def _answers(turns: Sequence[Turn], at: int) -> bool:
    """Whether somebody has spoken before."""
    return _said(turns[:at]) > 0


def _said(turns: Sequence[Turn]) -> int:
    return sum(turn.speaker != SYSTEM for turn in turns)


def _items(value: Any, column: str) -> list[Any]:
    """The turns of a cell: a list, one text, or a table of columns, as some files store lists."""
    if is_missing(value):
        raise BadRow(MISSING_VALUE, f'got null in column "{column}"; expected a list of turns')
    if isinstance(value, str):
        return _written_list(value) or [value]
    if isinstance(value, Mapping) and value and all(isinstance(one, list) for one in value.values()):
        return [dict(zip(value, cells, strict=False)) for cells in zip(*value.values(), strict=False)]
    if isinstance(value, list | tuple):
        return list(value)
    raise BadRow(NOT_TEXT, f'got {type(value).__name__} {short(value)} in column "{column}"; expected a list of turns')


def _written_list(text: str) -> list[Any]:
    """The turns of a list written as JSON, as in cells of CSV files; none for any other text."""
    if not text.lstrip().startswith("["):
        return []
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) and all(isinstance(one, Mapping) for one in found) else []


def _value(turn: Mapping[str, Any], key: str, usual: Sequence[str]) -> Any:
    keys = (key,) if key else usual
    found = next((one for one in keys if one in turn), None)
    if found is None:
        expected = f'"{key}"' if key else f"one of {', '.join(usual)}"
        raise BadRow(MISSING_COLUMN, f"got a turn with {', '.join(map(str, turn))}; expected {expected}")
    return turn[found]


def _said_text(value: Any, column: str) -> str:
    """The text of a turn: a text, or a list of parts as in some chat programs; parts that are not text are bad."""
    if not isinstance(value, list | tuple):
        return "" if value is None else as_text(value, column)
    texts = []
    for part in value:
        text = part.get("text") if isinstance(part, Mapping) else part
        if not isinstance(text, str):
            raise BadRow(NOT_TEXT, f"got {short(part)} in a turn; expected text")
        texts.append(text)
    return "".join(texts)
