"""Conversations as rendered by a chat template; any failure of a template is one error of ours."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flantune.errors import TemplateError
from flantune.prompts.dates import DAY, asks_for_today, date_values, with_fixed_clock

_ROLES = ("user", "assistant")
_MEND = "fix the template, or name another file with prompts.chat_template (--chat-template)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTemplate:
    """A chat template and its renderer.

    Attributes:
        text: The Jinja source.
        name: Its origin, for messages: a file, or the tokenizer that contains it.
        apply: ``apply_chat_template`` of a tokenizer, which renders in a sandbox.
        system: The system message; none when empty.
        variables: Variables for the template besides the messages, such as ``enable_thinking``.
        day: The date that the template gets.
    """

    text: str
    name: str
    apply: Callable[..., Any]
    system: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)
    day: datetime = DAY

    def render(
        self, turns: Sequence[str], *, asks: bool = False, system: str | None = None, is_opened: bool = False
    ) -> str:
        """The whole conversation as rendered by the template.

        Args:
            turns: The alternating turns of user and assistant, beginning with the user.
            asks: Whether to end with the template's generation prompt, after which the next reply begins.
            system: A system message instead of the template's own.
            is_opened: Whether the assistant begins.

        Raises:
            TemplateError: The template has a syntax error, refuses the conversation, or is stopped by the sandbox.
        """
        said = [{"role": _ROLES[at % 2], "content": content} for at, content in enumerate(turns, start=is_opened)]
        told = self.system if system is None else system
        messages = [*([{"role": "system", "content": told}] if told else []), *said]
        try:
            return self._rendered(messages, add_generation_prompt=asks)
        except Exception as error:
            # Any exception is a mistake in the template or in its use.
            raise self._mistake(error, messages) from None

    def _rendered(self, messages: Sequence[Mapping[str, str]], **options: bool) -> str:
        given = {**date_values(self.day), **self.variables, **options}
        return str(self.apply(list(messages), chat_template=with_fixed_clock(self.text), tokenize=False, **given))

    def _mistake(self, error: Exception, messages: Sequence[Mapping[str, str]]) -> TemplateError:
        line = _line_of(error, before=int(asks_for_today(self.text)))
        where = f"chat template of {self.name}" + (f", line {line}" if line else "")
        return TemplateError(f"it cannot be rendered: {_reason(error)}", where=where, hint=self._hint(messages))

    def _hint(self, messages: Sequence[Mapping[str, str]]) -> str:
        if messages[0]["role"] == "system" and self._takes(messages[1:]):
            return (
                "it takes no system message: leave prompts.system (--system) empty, or use a template that takes one "
                "(prompts.chat_template, --chat-template)"
            )
        alone = [one for one in messages[:-1] if one["role"] == "system"]
        if len(messages) > 2 and messages[-1]["role"] == "user" and self._takes([*alone, messages[-1]]):
            return 'it takes no solved examples as turns: set prompts.chat_exemplars = "message"'
        return _MEND

    def _takes(self, messages: Sequence[Mapping[str, str]]) -> bool:
        """Whether the template renders these messages."""
        try:
            self._rendered(messages)
        except Exception:
            return False
        return True


def _reason(error: Exception) -> str:
    """Jinja's message, on one line."""
    said = " ".join(str(error).split()) or "no reason given"
    return said if type(error).__name__ == "TemplateError" else f"{type(error).__name__}: {said}"


def _line_of(error: Exception, *, before: int) -> int | None:
    """The line of the template that failed; the first ``before`` lines are not its own."""
    line = getattr(error, "lineno", None)
    if not isinstance(line, int):
        inside = [one.lineno for one in traceback.extract_tb(error.__traceback__) if one.filename == "<template>"]
        line = inside[-1] if inside else None
    return max(line - before, 1) if line is not None else None
