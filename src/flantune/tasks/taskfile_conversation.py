"""``[conversation]`` of a task file: a column of turns, whose replies are targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool

from flantune.prompts.conversations import SLOT
from flantune.settings.sections import Section, check_section
from flantune.settings.setting_types import Names, Natural, as_tuple
from flantune.tasks.conversations import ASSISTANT, USER, ConversationAdapter
from flantune.tasks.taskfile_sections import Text
from flantune.types import Template

if TYPE_CHECKING:
    from flantune.settings.sections import Problems
    from flantune.tasks.columns import FieldColumn

AS_SAID = Template(name="as_said", inputs=f"{{{SLOT}}}")
"""The template of tasks without any: only the turns, which a chat template writes as messages."""
METRICS = ("rougeL", "exact_match")


class ConversationSection(Section):
    """Where the turns of a conversation are, and which of them are targets."""

    column: Annotated[Names, BeforeValidator(as_tuple), Field(min_length=1)]
    """The column with the list of turns, or several columns one after another; a text is one turn."""
    speaker: str = ""
    """The key of a turn's speaker; by default role, from or speaker."""
    text: str = ""
    """The key of a turn's text; by default content, value, text or utterance."""
    speakers: dict[str, Text] = Field(default_factory=dict)
    """Speaker in the data → "system", "user", "assistant" or another name."""
    alternating: Annotated[tuple[Text, Text], Field(min_length=2)] = (USER, ASSISTANT)
    """The speakers, in alternation, if turns are only texts."""
    system: str = ""
    """A column with instructions to the assistant."""
    replies_of: Text = ASSISTANT
    """Whose turns are targets; "anyone": all that answer somebody."""
    trains_on: Literal["every", "drawn", "last"] = "every"
    """Each reply, one that is drawn for each visit to the conversation, or the last."""
    drops_opening: StrictBool = False
    """Leave out what the replying speaker says before anybody else does."""
    max_turns: Natural = 0
    """Replies with more turns before them are not targets; 0: no limit."""
    group: tuple[Text, ...] = ()
    """Columns that together name what several conversations share: a passage, a person."""
    tool_rows: Literal["refuse", "drop"] = "refuse"
    """Conversations in which tools are called or offered, which cannot be trained on: bad rows, or dropped on
    purpose."""


def read_conversation(
    table: Any, fields: Mapping[str, FieldColumn], problems: Problems
) -> tuple[ConversationAdapter | None, tuple[str, ...]]:
    """The adapter that a table describes, and the slots it fills; None if it is wrong, which is recorded."""
    slots = (SLOT, *fields)
    section = check_section(ConversationSection, table, "conversation", problems=problems)
    if SLOT in fields:
        problems.add(f"fields.{SLOT}", "holds the turns before the reply; use another name")
    if section is None:
        return None, slots
    if len(set(section.alternating)) < 2:
        problems.add("conversation.alternating", "names one speaker twice")
    adapter = ConversationAdapter(
        columns=section.column,
        speaker=section.speaker,
        text=section.text,
        speakers=section.speakers,
        alternating=section.alternating,
        system=section.system,
        replies_of=section.replies_of,
        trains_on=section.trains_on,
        drops_opening=section.drops_opening,
        max_turns=section.max_turns,
        fields=fields,
        group=section.group,
        tool_rows=section.tool_rows,
    )
    return adapter, slots
