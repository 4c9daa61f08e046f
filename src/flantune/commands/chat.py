"""A chat with a model: the conversation so far, and the reply as it is generated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from flantune.errors import EvaluationError
from flantune.models.writing.decoding import Decoding
from flantune.models.writing.generate import write
from flantune.packing.chat import chat_tokens
from flantune.packing.codec_for import codec_for
from flantune.prompts.conversations import SLOT, at_reply, conversation_of
from flantune.prompts.layout import Layout
from flantune.settings.config import PromptSettings
from flantune.settings.conversations import TURN_FORMS
from flantune.tasks.conversations import conversation_example
from flantune.types import Prompt, Template, Turn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flantune.models.language_model import LanguageModel
    from flantune.packing.encode import Codec

Form = Literal["chat", "turns", "alone"]
"""How messages are sent: in the chat template; as turns of plain text with speakers; or each message separately, like a
task's prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Talking:
    """How replies are generated.

    Attributes:
        form: How the model is asked; None: in its chat template if it has one, otherwise each message separately.
        system: System message; none when empty.
        chat_template: A chat template instead of the model's own.
        chat_thinking: Tells the chat template whether the model thinks before a reply; None: not set.
        max_new_tokens: Longest reply.
        max_input_tokens: Longest conversation; in a longer one the oldest turns are left out.
        temperature: 0 is greedy.
        seed: Seed of sampling.
        separator: Between a message and its answer, for decoder-only models without a chat template.
    """

    form: Form | None = None
    system: str = ""
    chat_template: Path | None = None
    chat_thinking: bool | None = None
    max_new_tokens: int = 512
    max_input_tokens: int = 2_048
    temperature: float = 0.0
    seed: int = 0
    separator: str = "\n"


class Talk:
    """One conversation with a model.

    Args:
        lm: The model; it is not changed.
        talking: How replies are generated.

    Attributes:
        form: How the model is asked.

    Raises:
        FlantuneError: The chat template cannot be used, or does not support a system message.
    """

    def __init__(self, lm: LanguageModel, talking: Talking) -> None:
        self.lm, self.talking, self.form = lm, talking, talking.form or _own_form(lm, talking)
        if talking.system and self.form == "alone":
            hint = "add --as chat or --as turns"
            raise EvaluationError("has no place where messages stand alone", where="--system", hint=hint)
        words = {"chat_template": talking.chat_template, "chat_thinking": talking.chat_thinking}
        asked = PromptSettings.model_validate({"chat": True, **words}) if self.form == "chat" else None
        self._codec: Codec = codec_for(
            lm,
            layout=Layout(target_separator=talking.separator),
            max_input_tokens=talking.max_input_tokens,
            max_target_tokens=talking.max_new_tokens,
            chat=chat_tokens(lm.tokenizer, asked) if asked is not None else None,
        )
        self._said: tuple[Turn, ...] = ()

    @property
    def notes(self) -> Sequence[str]:
        """What to know about the chat template."""
        return self._codec.chat.notes if self._codec.chat else ()

    def begin_again(self) -> None:
        """Starts a new conversation."""
        self._said = ()

    def reply(self, message: str, *, heard: Callable[[str], None] | None = None) -> str:
        """The model's reply to a message; both become part of the conversation.

        An interrupted reply (Ctrl-C) ends there and is kept as far as it goes.

        Args:
            message: The user's words.
            heard: Called with each piece of the reply as it is generated.

        Raises:
            EvaluationError: Nothing of the message would be left within ``max_input_tokens``.
        """
        said = (*self._said, Turn("user", message))
        (encoded,) = self._codec.encode_prompts([self._prompt(said)], continuations="none")
        if encoded is None:
            hint = "raise --max-input-tokens, or send a shorter message"
            raise EvaluationError("nothing of this message would be left", where="--max-input-tokens", hint=hint)
        pieces: list[str] = []

        def hear(piece: str) -> None:
            pieces.append(piece)
            if heard is not None:
                heard(piece)

        try:
            (written,) = write(self.lm, [encoded.inputs], self._decoding(len(said)), heard=hear)
            text = written.text
        except KeyboardInterrupt:
            text = "".join(pieces)
        # A chat template may refuse an empty turn, so an empty reply is not kept.
        self._said = (*said, Turn("assistant", text.strip())) if text.strip() else self._said
        return text

    def _decoding(self, turns: int) -> Decoding:
        own = self.talking
        return Decoding(
            max_new_tokens=own.max_new_tokens,
            temperature=own.temperature,
            seed=own.seed + turns,
            end_tokens=(self._codec.eos_token,),
        )

    def _prompt(self, said: Sequence[Turn]) -> Prompt:
        empty = Prompt(task="chat", split="test", row=0, template="", inputs=said[-1].text, targets="")
        if self.form == "alone":
            return empty
        system = (Turn("system", self.talking.system),) if self.talking.system else ()
        turns = (*system, *said, Turn("assistant", ""))
        template = Template(name="turns", inputs=f"{{{SLOT}}}")
        example = at_reply(conversation_example(turns, [len(turns) - 1]), template, TURN_FORMS, key=0)
        shown = conversation_of(example, template, example.fields, TURN_FORMS, key=0)
        return replace(empty, inputs=example.fields[SLOT], conversation=shown)


def _own_form(lm: LanguageModel, talking: Talking) -> Form:
    has_template = talking.chat_template is not None or bool(getattr(lm.tokenizer, "chat_template", None))
    return "chat" if has_template else "alone"
