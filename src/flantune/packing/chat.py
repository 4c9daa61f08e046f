"""The ids that a chat template puts around a prompt: special tokens as such, beginning and end exactly once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flantune.errors import ModelError, TemplateError
from flantune.prompts.chat import turn_break

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from flantune.config import PromptSettings


RenderConversation = Callable[[Sequence[Mapping[str, str]]], str]
"""Messages with ``role`` and ``content`` → the text that a chat model reads."""

# Words that no template changes: it may trim its contents, or escape quotes and signs in them.
_QUERY, _REPLY = "FLANTUNEQUERY", "FLANTUNEREPLY"
_DATE = "26 Jul 2024"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatFrame:
    """What a chat template says around one turn and its reply.

    Attributes:
        before: Stands before the user's words: the beginning of the text, the system message, the user's role.
        after: Stands between the user's words and the reply.
        end: Stands behind the reply; its first special token ends it.
    """

    before: str
    after: str
    end: str


def chat_frame(render: RenderConversation, *, system: str = "") -> ChatFrame:
    r"""Finds out what a chat template puts around a turn, by letting it render one.

    >>> def render(messages):
    ...     return "<s>" + "".join(f"[{m['role']}] {m['content'].strip()}</s>\n" for m in messages)
    >>> chat_frame(render)
    ChatFrame(before='<s>[user] ', after='</s>\n[assistant] ', end='</s>\n')

    Args:
        render: Renders a whole conversation, the reply included.
        system: The system message; none when empty.

    Raises:
        TemplateError: The template does not show the turn, or shows it more than once.
    """
    messages = [{"role": "user", "content": _QUERY}, {"role": "assistant", "content": _REPLY}]
    text = render(([{"role": "system", "content": system}] if system else []) + messages)
    if text.count(_QUERY) != 1 or text.count(_REPLY) != 1 or text.index(_QUERY) > text.index(_REPLY):
        hint = "a chat template shows the user's words and the reply once each, in this order"
        raise TemplateError("the chat template does not show a turn as it is", where="tokenizer", hint=hint)
    before, _, rest = text.partition(_QUERY)
    after, _, end = rest.partition(_REPLY)
    return ChatFrame(before=before, after=after, end=end)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTokens:
    """A chat template as token ids.

    Attributes:
        before: Stands before the inputs.
        after: Stands between the inputs and the reply.
        end: Ends the reply, one token: the template's own end of a turn, or the tokenizer's end of sequence.
        between: Stands between an exemplar's reply and the next query, when exemplars are turns of their own; None:
            they stand in the one message before the query.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    end: int
    between: tuple[int, ...] | None = None


def chat_tokens(tokenizer: PreTrainedTokenizerBase, settings: PromptSettings) -> ChatTokens | None:
    """The tokenizer's own chat template as ids; None where the run file asks for no chat.

    The template is tokenized with its special tokens, the data's words never are: a row that holds the text of a
    special token cannot end a turn. What begins the text is up to the template: nothing is added to it.

    Raises:
        ModelError: The tokenizer has no chat template.
    """
    if not settings.chat:
        return None
    template = _own_template(settings)
    if template is None and not getattr(tokenizer, "chat_template", None):
        hint = "name one with prompts.chat_template (--chat-template), or leave chat out"
        raise ModelError("the tokenizer has no chat template", where=str(tokenizer.name_or_path), hint=hint)

    def render(messages: Sequence[Mapping[str, str]]) -> str:
        apply: Any = tokenizer.apply_chat_template
        # Some templates write today's date, unless one is given: a prompt must be the same tomorrow.
        more = {"date_string": _DATE, **({"chat_template": template} if template else {})}
        return str(apply(list(map(dict, messages)), tokenize=False, **more))

    frame = chat_frame(render, system=settings.system)
    before, after, behind = (_ids(tokenizer, text) for text in (frame.before, frame.after, frame.end))
    special = set(tokenizer.all_special_ids)
    end = next((token for token in behind if token in special), tokenizer.eos_token_id)
    if end is None:
        hint = 'set "eos_token" in its tokenizer_config.json'
        raise ModelError(
            "neither chat template nor tokenizer ends a reply", where=str(tokenizer.name_or_path), hint=hint
        )
    between = None
    if settings.chat_exemplars == "turns":
        between = _ids(tokenizer, turn_break(render, system=settings.system))
    return ChatTokens(before=before, after=after, end=int(end), between=between)


def _own_template(settings: PromptSettings) -> str | None:
    """The text of a template file; None: the tokenizer's own template is taken."""
    if settings.chat_template is None:
        return None
    try:
        return settings.chat_template.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        hint = "name a file with a Jinja chat template, or leave it out to use the tokenizer's own"
        raise ModelError(f"cannot be read: {error}", where=str(settings.chat_template), hint=hint) from None


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Ids of the template's own words; special tokens are recognized, none is added."""
    encode: Any = tokenizer
    return tuple(map(int, encode(text, add_special_tokens=False)["input_ids"])) if text else ()
