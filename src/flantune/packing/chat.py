"""How a chat template renders a prompt and its reply, determined from the template itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flantune.errors import ModelError, TemplateError
from flantune.packing.tokenize import text_tokenizer
from flantune.prompts.chat import ChatTemplate
from flantune.prompts.dates import DAY

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedTokenizerBase

    from flantune.settings.config import PromptSettings

# Text that no template changes: it may trim contents, or escape quotes and symbols. Two queries that begin and end with
# different letters: what the ids of both have in common is the template's.
QUERY, REPLY = "FLANTUNEQUERY", "FLANTUNEREPLY"
_OTHER_QUERY = "9th word asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTokens:
    """How prompts become a chat: the template, and the text it writes around a reply.

    Attributes:
        template: The Jinja source.
        name: Where the template comes from, for messages.
        system: The system message; none when empty.
        variables: The template's variables besides the messages.
        opening: Text written after the template's own before a reply can begin; empty if the template writes a
            generation prompt, or needs none.
        skipped: Text that the rendered conversation has before a reply but the generation prompt does not, such as an
            empty thinking block. It is neither in the prompt nor trained on.
        is_asked_otherwise: The generation prompt differs from the text before a reply in the rendered conversation.
        said: The text before the reply in the rendered conversation.
        after: The text that the template writes after a final reply.
        ending: The text that the template writes after a reply up to and including the end of the turn, even if it only
            does so before another turn; empty if it writes none.
        end: Id that ends a reply: the template's own end of a turn, or the tokenizer's end of sequence.
        before: Ids before the user's text, which do not depend on it.
        after: Ids between the user's text and the reply, which do not depend on it.
        has_turns: Exemplars are separate turns; otherwise they are in the same message before the query.
        is_dated: The template writes today's date; it is always given the same date.
    """

    template: str
    name: str
    system: str = ""
    variables: tuple[tuple[str, bool], ...] = ()
    opening: str = ""
    skipped: str = ""
    is_asked_otherwise: bool = False
    said: str = ""
    behind: str = ""
    ending: str = ""
    end: int
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    has_turns: bool = False
    is_dated: bool = False

    def of(self, tokenizer: PreTrainedTokenizerBase) -> ChatTemplate:
        """The template with the tokenizer that renders it."""
        return ChatTemplate(
            text=self.template,
            name=self.name,
            apply=tokenizer.apply_chat_template,
            system=self.system,
            variables=dict(self.variables),
        )

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that determines ids, for fingerprints; not the template's location."""
        return {name: value for name, value in asdict(self).items() if name not in ("name", "is_dated")}

    @property
    def notes(self) -> tuple[str, ...]:
        """What later users of the model should know."""
        notes = []
        if self.is_asked_otherwise:
            notes.append(
                f"the chat template of {self.name} writes something else before a reply than in its generation prompt, "
                f"which {self._difference}. flantune evaluates and trains after the generation prompt, which other "
                "programs use, too; set prompts.chat_thinking to choose the other form if the template has one"
            )
        if not self.ending:
            words = f" ({self.behind.strip()!r} is not one of the tokenizer's)" if self.behind.strip() else ""
            notes.append(
                f"the chat template of {self.name} writes no token that ends a reply{words}: replies end with the "
                "tokenizer's end of sequence"
            )
        if self.is_dated:
            notes.append(
                f"the chat template of {self.name} writes today's date: flantune always gives it {DAY:%d %B %Y}, so "
                "that prompts do not change from day to day"
            )
        return tuple(notes)

    @property
    def _difference(self) -> str:
        return f"lacks {self.skipped!r}" if self.skipped else "has other text before the reply"


def chat_tokens(tokenizer: PreTrainedTokenizerBase, settings: PromptSettings) -> ChatTokens | None:
    """The chat that the run file sets, with the tokenizer's own template or another; None without a chat.

    Raises:
        ModelError: The tokenizer has no chat template, or nothing ends a reply.
        TemplateError: The template cannot be rendered, or changes the text of a turn.
    """
    if not settings.chat:
        return None
    text, name = _source(tokenizer, settings)
    thinks = settings.chat_thinking
    # Both names are in use.
    variables = {} if thinks is None else {"enable_thinking": thinks, "thinking": thinks}
    template = ChatTemplate(
        text=text, name=name, apply=tokenizer.apply_chat_template, system=settings.system, variables=variables
    )
    frame = _frame(template)
    end, ending = _end(tokenizer, template, frame.behind)
    before, after = _fixed_ids(tokenizer, template, frame.opening, end=end)
    return ChatTokens(
        template=text,
        name=name,
        system=settings.system,
        variables=tuple(variables.items()),
        opening=frame.opening,
        skipped=frame.skipped,
        is_asked_otherwise=frame.is_asked_otherwise,
        said=frame.said,
        behind=frame.behind,
        ending=ending,
        end=end,
        before=before,
        after=after,
        has_turns=settings.chat_exemplars == "turns",
        is_dated=replace(template, day=DAY + timedelta(days=400)).render([QUERY]) != template.render([QUERY]),
    )


def turn_ends(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The id with which the tokenizer's own chat template ends a turn; nothing if no template defines it."""
    from flantune.settings.config import PromptSettings

    if not getattr(tokenizer, "chat_template", None):
        return ()
    try:
        chat = chat_tokens(tokenizer, PromptSettings(chat=True))
    except (ModelError, TemplateError):
        return ()
    return (chat.end,) if chat is not None else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """See ``ChatTokens``."""

    opening: str = ""
    skipped: str = ""
    is_asked_otherwise: bool = False
    said: str
    behind: str


def _frame(template: ChatTemplate) -> _Frame:
    """The text that the template writes around a reply, and whether its generation prompt equals what it renders."""
    asked = template.render([QUERY], asks=True)
    whole = template.render([QUERY, REPLY])
    if asked.count(QUERY) != 1 or whole.count(QUERY) != 1 or whole.count(REPLY) != 1:
        raise _unclear(template)
    said, _, behind = whole.partition(REPLY)
    if QUERY not in said:
        raise _unclear(template)
    extra = said.removeprefix(asked)
    if said == asked or (said.startswith(asked) and not extra.strip()):
        # Spaces before a reply are part of it, and can share a token with its first word.
        return _Frame(said=said, behind=behind)
    if said.startswith(asked) and asked == template.render([QUERY]):
        # The template has no generation prompt: a reply begins where it does in the rendered conversation.
        return _Frame(opening=extra.rstrip(" "), said=said, behind=behind)
    skipped = extra if said.startswith(asked) else ""
    return _Frame(skipped=skipped, is_asked_otherwise=True, said=said, behind=behind)


def _unclear(template: ChatTemplate) -> TemplateError:
    hint = "a chat template must contain the user's text and the reply once each, in this order"
    return TemplateError(
        "the chat template changes the text of a turn", where=f"chat template of {template.name}", hint=hint
    )


def _end(tokenizer: PreTrainedTokenizerBase, template: ChatTemplate, behind: str) -> tuple[int, str]:
    """The token that ends a reply, and the template's text up to and including it."""
    found = _first_control(tokenizer, behind) or _first_control(tokenizer, _between_turns(template))
    if found is not None:
        return found
    if tokenizer.eos_token_id is None:
        hint = 'set "eos_token" in its tokenizer_config.json'
        raise ModelError("neither chat template nor tokenizer ends a reply", where=template.name, hint=hint)
    return int(tokenizer.eos_token_id), ""


def _first_control(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, str] | None:
    """The first control token of a template's text, and the text up to and including it."""
    special = text_tokenizer(tokenizer).words
    added = {token.content: at for at, token in tokenizer.added_tokens_decoder.items() if token.content.strip()}
    # A special token, named or not; otherwise another token that was added for a template.
    for words in (special, added):
        places = sorted((text.find(word), -len(word), word) for word in words if word in text)
        if places:
            at, _, word = places[0]
            return words[word], text[: at + len(word)]
    return None


def _between_turns(template: ChatTemplate) -> str:
    """The end of a reply before another turn: the text between the two, without the beginning of a turn."""
    try:
        # A system message would end in the same way before the first turn, and its end look like the beginning of one.
        said = replace(template, system="").render([QUERY, REPLY, _OTHER_QUERY])
    except TemplateError:
        return ""
    between, found, _ = said.partition(REPLY)[2].partition(_OTHER_QUERY)
    first = said.partition(QUERY)[0]
    return between[: len(between) - common_start(between[::-1], first[::-1])] if found else ""


def _fixed_ids(
    tokenizer: PreTrainedTokenizerBase, template: ChatTemplate, opening: str, *, end: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ids before and after the user's text that do not depend on it."""
    texts = [template.render([query], asks=True) + opening for query in (QUERY, _OTHER_QUERY)]
    one, other = text_tokenizer(tokenizer, control=control_ids(tokenizer, end)).template(texts)
    start = common_start(one, other)
    return tuple(one[:start]), tuple(one[len(one) - common_start(one[:start:-1], other[:start:-1]) :])


def common_start(left: Sequence[object], right: Sequence[object]) -> int:
    """The length of the common beginning of two lists of ids, or of two texts.

    >>> common_start([1, 2, 3], [1, 2, 4, 5])
    2
    """
    pairs = enumerate(zip(left, right, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(left), len(right)))


def control_ids(tokenizer: PreTrainedTokenizerBase, end: int) -> tuple[int, ...]:
    """A chat's end of a turn if it is not a special token, and so not a control token by default."""
    return () if end in text_tokenizer(tokenizer).words.values() else (end,)


def _source(tokenizer: PreTrainedTokenizerBase, settings: PromptSettings) -> tuple[str, str]:
    """A chat template's text and its origin."""
    name = str(tokenizer.name_or_path or "the tokenizer")
    if settings.chat_template is not None:
        return read_template(settings.chat_template), str(settings.chat_template)
    hint = "name one with prompts.chat_template (--chat-template), or leave chat out"
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError("the tokenizer has no chat template", where=name, hint=hint)
    try:
        return str(tokenizer.get_chat_template()), name
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ModelError(
            f"the tokenizer's chat template cannot be determined: {reason}", where=name, hint=hint
        ) from None


def read_template(path: Path) -> str:
    """The text of a file with a chat template.

    Raises:
        ModelError: The file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        hint = "name a file with a Jinja chat template, or leave it out to use the tokenizer's own"
        raise ModelError(f"cannot be read: {error}", where=str(path), hint=hint) from None
