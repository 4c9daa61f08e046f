"""The tokens at which an answer ends, and the chat template that is saved with a tuned model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flantune.packing.chat import turn_ends

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel
    from flantune.models.writing.decoding import Decoding
    from flantune.packing.chat import ChatTokens


def end_tokens(lm: LanguageModel, decoding: Decoding | None = None) -> tuple[int, ...]:
    """Ids that end an answer, in ascending order.

    A model's generation config may name several, such as the end of a text and the end of a turn. Generating past any
    of them would give an answer that no other program gives.

    Args:
        lm: The model.
        decoding: May name more, such as the end of a turn in another chat template than the tokenizer's.
    """
    config: Any = getattr(lm.model, "generation_config", None)
    named = getattr(config, "eos_token_id", None)
    own = named if isinstance(named, list | tuple) else [named]
    known = [*own, lm.tokenizer.eos_token_id, *turn_ends(lm.tokenizer), *(decoding.end_tokens if decoding else ())]
    return tuple(sorted({int(token) for token in known if token is not None}))


def keep_template(lm: LanguageModel, chat: ChatTokens) -> None:
    """Gives the tokenizer the chat template that the model was tuned with, so that other programs use it too."""
    own = lm.tokenizer.chat_template
    # Some tokenizers have several by name; without a name, none is used.
    used = own.get("default") if isinstance(own, dict) else own
    if used != chat.template:
        lm.tokenizer.chat_template = chat.template
