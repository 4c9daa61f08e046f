"""Makes the codec of a model. All callers use this function, so that nothing around prompts is forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from flantune.packing.encode import Codec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from flantune.packing.chat import ChatTokens
    from flantune.prompts.layout import Layout
    from flantune.types import Family


class Reader(Protocol):
    """A model that reads the tokens: a ``LanguageModel``, or a description of one that is not loaded."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Its tokenizer."""

    @property
    def family(self) -> Family:
        """Decoder-only or encoder-decoder."""

    @property
    def prefix_tokens(self) -> tuple[int, ...]:
        """Ids that come before every prompt's inputs: the virtual tokens of prompt tuning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnloadedReader:
    """A model that is not loaded, with what its prompts depend on; see ``Reader``."""

    tokenizer: PreTrainedTokenizerBase
    family: Family
    prefix_tokens: tuple[int, ...] = ()


def codec_for(
    lm: Reader, *, layout: Layout, max_input_tokens: int, max_target_tokens: int, chat: ChatTokens | None
) -> Codec:
    """Turns a model's prompts into token ids, the same way for training, tasks, suites, harness files and previews.

    Tokenizer, family and virtual tokens come from the model; the caller gives the rest. A scoring protocol's choices
    are applied on top (``flantune.evaluation.asking.option_scores.scoring_codec``).

    Args:
        lm: The model.
        layout: Separators between a query, its answer and its exemplars.
        max_input_tokens: Longest inputs, virtual tokens, special tokens and separator included.
        max_target_tokens: Longest target, end of sequence included.
        chat: The chat template around the inputs (``flantune.packing.chat.chat_tokens``); None: plain text.
    """
    return Codec(
        tokenizer=lm.tokenizer,
        family=lm.family,
        layout=layout,
        max_input_tokens=max_input_tokens,
        max_target_tokens=max_target_tokens,
        prefix=lm.prefix_tokens,
        chat=chat,
    )
