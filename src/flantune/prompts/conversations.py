"""One reply of a conversation as the target: which one, the turns before it, and how these are written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from flantune.errors import TemplateError
from flantune.prompts.compiled import compile_side
from flantune.system.keyed_random import mix64
from flantune.types import Conversation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flantune.types import Example, Prompt, Template, Turn

SLOT = "conversation"
"""The field with the turns before the reply."""
SYSTEM = "system"
_FORM, _REPLY = 1, 2


def at_reply(example: Example, template: Template, forms: Sequence[str], *, key: int) -> Example:
    """The example with one reply as the target and the turns before it as text; examples without turns are unchanged.

    If there are several possible replies, one is drawn by ``key`` and the example's row. The form of turns is drawn by
    ``key`` only, so that a query and its exemplars look alike; key 0 gives the first form.

    Args:
        example: The example.
        template: The template. If its inputs end with the turns, the label of the replying speaker follows them.
        forms: Forms of a turn.
        key: The key of the draw.
    """
    if not example.turns:
        return example
    place = example.replies[mix64(key, example.row, _REPLY) % len(example.replies)]
    turns = example.turns[: place + 1]
    text = "".join(_shown(turns, template, forms, key=key))
    fields = {**example.fields, SLOT: text}
    return replace(example, fields=fields, references=(turns[-1].text,), turns=turns, replies=(place,))


def conversation_of(
    example: Example, template: Template, values: Mapping[str, str], forms: Sequence[str], *, key: int
) -> Conversation | None:
    """Where the turns are in a prompt's inputs; None if they are not shown there, or more than once.

    Args:
        example: As returned by ``at_reply``.
        template: The template.
        values: Slot → text, as filled into the inputs.
        forms: As in ``at_reply``.
        key: As in ``at_reply``.
    """
    spans = list(compile_side(template, "inputs").spans(values)) if example.turns else []
    places = [at for at, span in enumerate(spans) if span.slot == SLOT]
    if len(places) != 1:
        return None
    return Conversation(
        turns=example.turns[:-1],
        shown=_shown(example.turns, template, forms, key=key),
        start=sum(len(span.text) for span in spans[: places[0]]),
        speaker=example.turns[-1].speaker,
        is_bare=_outline(template) == (SLOT,),
    )


def _shown(turns: Sequence[Turn], template: Template, forms: Sequence[str], *, key: int) -> tuple[str, ...]:
    """Each turn before the last as written; if the inputs end there, with the label of the replying speaker."""
    form = forms[mix64(key, _FORM) % len(forms)] if key else forms[0]
    *before, reply = turns
    *texts, last = (turn_text(turn.speaker, turn.text, form) for turn in before)
    cue = turn_text(reply.speaker, "", form) if _outline(template)[-1:] == (SLOT,) else ""
    return (*texts, (last + cue).rstrip())


def turn_text(speaker: str, text: str, form: str) -> str:
    r"""A turn as written. System messages have no label.

    >>> turn_text("user", "Is it {late}?", "{speaker}: {text}\n")
    'User: Is it {late}?\n'
    >>> turn_text("system", "Be brief.", "{speaker}: {text}\n")
    'Be brief.\n\n'
    """
    if speaker == SYSTEM:
        return f"{text}\n\n"
    before, _, after = form.partition("{text}")
    return before.replace("{speaker}", speaker[:1].upper() + speaker[1:]) + text + after


@lru_cache(maxsize=65_536)
def _outline(template: Template) -> tuple[str, ...]:
    """The slots of a forward template's inputs, with an empty one for its own text between them."""
    if template.is_inverted:
        return ()
    try:
        spans = tuple(compile_side(template, "inputs").source())
    except TemplateError:  # rendering reports it, with its place
        return ()
    return tuple(span.slot for span in spans if span.slot or span.text.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """A conversation as chat templates expect it.

    Attributes:
        turns: The alternating turns of user and assistant; the assistant is whoever replies.
        system: The system message; empty for none.
        is_opened: Whether the assistant begins.
    """

    turns: tuple[str, ...]
    system: str
    is_opened: bool


def messages_of(conversation: Conversation, *, takes_system: bool = True, takes_opening: bool = True) -> Messages:
    r"""The turns of a conversation as messages, ending with the user's.

    Args:
        conversation: The turns before a reply.
        takes_system: If False, the system message is put before the first message.
        takes_opening: If False, an opening by the replying speaker is left out.

    >>> from flantune.types import Turn
    >>> said = (Turn("system", "Be brief."), Turn("Eva", "Hi."), Turn("Max", "Hm?"), Turn("Eva", "So?"))
    >>> chat = Conversation(turns=said, shown=("",) * 4, start=0, speaker="Max", is_bare=True)
    >>> messages_of(chat, takes_system=False).turns
    ('Be brief.\n\nHi.', 'Hm?', 'So?')
    """
    system = "\n\n".join(turn.text for turn in conversation.turns if turn.speaker == SYSTEM)
    said: list[str] = []
    was_own = is_opened = False
    for turn in conversation.turns:
        is_own = turn.speaker == conversation.speaker
        if turn.speaker == SYSTEM or (is_own and not said and not takes_opening):
            continue
        if said and is_own == was_own:  # several other speakers in a row
            said[-1] += f"\n{turn.text}"
        else:
            is_opened = is_opened or (is_own and not said)
            said.append(turn.text)
        was_own = is_own
    if system and not takes_system:
        said[0] = f"{system}\n\n{said[0]}"
    return Messages(turns=tuple(said), system=system if takes_system else "", is_opened=is_opened)


def most_dropped(conversation: Conversation) -> int:
    """The number of steps by which a conversation can be shortened.

    >>> from flantune.types import Turn
    >>> said = tuple(Turn(who, who) for who in ("system", "user", "assistant", "user"))
    >>> most_dropped(Conversation(turns=said, shown=("s", "u", "a", "u"), start=0, speaker="assistant", is_bare=True))
    2
    """
    return len(_kept(conversation)) - 1


def with_fewer_turns(prompt: Prompt, steps: int) -> Prompt:
    """The prompt without its oldest turns: each step drops turns up to the next one by a speaker who does not reply.

    The system message is dropped in the last step, after which only the last turn is left. Text around the turns stays.
    """
    conversation = prompt.conversation
    if conversation is None or not steps:
        return prompt
    kept = _kept(conversation)[steps]
    lengths = [len(text) for text in conversation.shown]
    pieces, at = [], conversation.start
    for number, length in enumerate(lengths):
        pieces += [prompt.inputs[at : at + length]] if number in kept else []
        at += length
    return replace(
        prompt,
        inputs=prompt.inputs[: conversation.start] + "".join(pieces) + prompt.inputs[at:],
        conversation=replace(
            conversation,
            turns=tuple(conversation.turns[number] for number in kept),
            shown=tuple(conversation.shown[number] for number in kept),
        ),
    )


def _kept(conversation: Conversation) -> list[tuple[int, ...]]:
    """The turns left after each number of steps."""
    turns = conversation.turns
    system = tuple(at for at, turn in enumerate(turns) if turn.speaker == SYSTEM)
    said = [at for at in range(len(turns)) if at not in system]
    starts = [0] + [
        number
        for number, at in enumerate(said)
        if number and (turns[at].speaker != conversation.speaker or at == said[-1])
    ]
    left = [(*system, *said[number:]) for number in starts]
    return [*left, tuple(said[-1:])] if system else left
