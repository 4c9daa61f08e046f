"""Prompts and replies of a chat as ids: rendered as a whole, and tokenized as by the tokenizer itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from flantune.errors import TemplateError
from flantune.packing.chat import QUERY, ChatTokens, common_start, control_ids
from flantune.packing.encoded import EOS_MARK, Laid
from flantune.packing.tokenize import text_tokenizer
from flantune.prompts.conversations import messages_of
from flantune.prompts.layout import inputs_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from flantune.prompts.layout import Layout
    from flantune.types import Prompt

_TOLD = "FLANTUNETOLD"
_MOST_REPLIES = 8_192
"""Replies whose ids are cached: the options of classification tasks recur constantly."""


class ChatEncoder:
    """Turns prompts and replies into the ids of a chat.

    A prompt's ids are those of ``apply_chat_template(…, add_generation_prompt=True)``; together with the reply's they
    are those of the whole conversation up to its end of turn, if the generation prompt equals what is rendered (see
    ``ChatTokens``). Control words in the data stay text.

    Args:
        tokenizer: The tokenizer.
        chat: What is known about its template.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, chat: ChatTokens) -> None:
        self.chat, self._template = chat, chat.of(tokenizer)
        self._text = text_tokenizer(tokenizer, control=control_ids(tokenizer, chat.end))
        self._end_word = str(tokenizer.convert_ids_to_tokens(chat.end))
        self._query = self._asked([QUERY])
        self.apart: set[str] = set()
        """Replies whose first token would have spanned the border, so that they were tokenized separately."""
        self._context = self._reply_context()
        self._context_ids = self._text.template([self._context])[0]
        self._known: dict[tuple[str, bool], list[int]] = {}

    def inputs(self, prompts: Sequence[Prompt], layout: Layout) -> list[Laid]:
        """The ids of prompts up to the reply; the template's own are marked as such."""
        texts = [self._prompted(prompt, layout) for prompt in prompts]
        return [self._laid(ids) for ids in self._text.template(texts)]

    def replies(self, texts: Sequence[str], *, with_end: bool) -> list[list[int]]:
        """The ids of replies after a prompt, with or without the end of the turn."""
        if len(self._known) > _MOST_REPLIES:
            self._known.clear()
        fresh = [text for text in dict.fromkeys(texts) if (text, with_end) not in self._known]
        bodies = [self._body(text, with_end=with_end) for text in fresh]
        wholes = self._text.template([self._context + body for body in bodies])
        for text, body, whole in zip(fresh, bodies, wholes, strict=True):
            self._known[text, with_end] = self._rest(text, body, whole, with_end=with_end)
        return [self._known[text, with_end] for text in texts]

    def _prompted(self, prompt: Prompt, layout: Layout) -> str:
        """A prompt for the template: its conversation as messages, if it consists of nothing else."""
        conversation = prompt.conversation
        if conversation is None or not conversation.is_bare or prompt.exemplars:
            return self._asked([self._guarded(turn) for turn in self._turns(prompt, layout)])
        said = messages_of(conversation, takes_system=self._takes_system, takes_opening=self._takes_opening)
        system = self._guarded(said.system) if said.system else None
        return self._asked([self._guarded(turn) for turn in said.turns], system=system, is_opened=said.is_opened)

    @cached_property
    def _takes_system(self) -> bool:
        """Whether the template writes a system message; some refuse it, others ignore it."""
        try:
            return _TOLD in self._template.render([QUERY], asks=True, system=_TOLD)
        except TemplateError:
            return False

    @cached_property
    def _takes_opening(self) -> bool:
        """Whether the template lets the assistant speak first."""
        try:
            return _TOLD in self._template.render([_TOLD, QUERY], asks=True, is_opened=True)
        except TemplateError:
            return False

    def _turns(self, prompt: Prompt, layout: Layout) -> list[str]:
        """The alternating turns of user and assistant, the query last."""
        if not self.chat.has_turns or prompt.frame is not None:
            return [inputs_text(prompt, layout, eos_token=EOS_MARK)]
        solved = [text for exemplar in prompt.exemplars for text in (exemplar.inputs, exemplar.targets)]
        first, *others = [*solved, prompt.inputs]
        return [prompt.preamble + first, *others]

    def _guarded(self, text: str) -> str:
        return EOS_MARK.join(self._text.guard(part) for part in text.split(EOS_MARK))

    def _asked(self, turns: Sequence[str], *, system: str | None = None, is_opened: bool = False) -> str:
        text = self._template.render(turns, asks=True, system=system, is_opened=is_opened) + self.chat.opening
        # A separator may contain the end of a turn; there it is a control token, unlike in the data.
        return text.replace(EOS_MARK, self._end_word)

    def _laid(self, ids: list[int]) -> Laid:
        start = common_start(self.chat.before, ids)
        room = ids[start:]
        end = common_start(self.chat.after[::-1], room[::-1])
        inner = room[: len(room) - end]
        return Laid(before=tuple(ids[:start]), inner=inner, after=tuple(room[len(room) - end :]))

    def _body(self, reply: str, *, with_end: bool) -> str:
        """A reply as rendered by the template, from the end of the prompt."""
        chat, guarded = self.chat, self._text.guard(reply)
        asked, whole = self._query, self._template.render([QUERY, guarded])
        start = asked if whole.startswith(asked) else chat.said
        body = whole.removeprefix(start).removesuffix(chat.behind)
        if chat.is_asked_otherwise:
            body = body.removeprefix(chat.skipped)
        lead = chat.said.removeprefix(asked) if not chat.is_asked_otherwise and chat.said.startswith(asked) else ""
        is_whole = whole.startswith(start) and whole.endswith(chat.behind) and _squeezed(guarded) in _squeezed(body)
        # Targets are never cut, even if a template omits a part of them.
        body = body if is_whole else lead + guarded.strip()
        if with_end:
            return body + chat.ending
        return body

    def _rest(self, reply: str, body: str, whole: list[int], *, with_end: bool) -> list[int]:
        """The ids after the context, up to the end of the turn."""
        length = len(self._context_ids)
        if whole[:length] == self._context_ids:
            rest = whole[length:]
        else:
            # A token would span the border. The prompt is unchanged, and the reply is tokenized separately.
            self.apart.add(reply)
            rest = self._apart(body)
        if with_end and not self.chat.ending:
            return [*rest, self.chat.end]
        return rest

    def _apart(self, body: str) -> list[int]:
        """A reply's ids by itself, without the space that some tokenizers put before a text."""
        for context in ("\n", ":", "a", "1", self._end_word):
            alone, both = self._text.template([context, context + body])
            if both[: len(alone)] == alone:
                return both[len(alone) :]
        return self._text.template([body])[0]

    def _reply_context(self) -> str:
        """The end of a prompt, as far as it can affect a reply's tokens: from its last control token on.

        If there is no control token between the user's text and the reply, the whole prompt of a made-up query, whose
        text is too far away to change a reply's tokens.
        """
        asked = self._query
        query = asked.rindex(QUERY) + len(QUERY)
        tail = asked[query:]
        last = max((tail.rfind(word) for word in self._text.words), default=-1)
        return tail[last:] if last >= 0 else asked


def _squeezed(text: str) -> str:
    return "".join(text.split())
