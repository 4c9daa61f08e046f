"""What surrounds the text of a prompt (special tokens, separators, a chat, virtual tokens), and text as ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from flantune.errors import ModelError
from flantune.packing.conversation import ChatEncoder
from flantune.packing.encoded import EOS_MARK, Encoded, Laid, Tokenization, id_array
from flantune.packing.tokenize import TextTokenizer, bos_added, text_tokenizer
from flantune.prompts.layout import EOS_WORD, Layout, inputs_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from flantune.packing.chat import ChatTokens
    from flantune.packing.packs import EncodedPrompt
    from flantune.types import Family, Int32, Prompt


@dataclass(frozen=True, kw_only=True)
class Framing:
    """Turns the texts of prompts into ids with everything around them, regardless of length.

    Attributes are those of ``flantune.packing.encode.Codec`` under the same names.
    """

    tokenizer: PreTrainedTokenizerBase
    family: Family
    layout: Layout
    score_eos: bool = True
    inputs_eos: bool = True
    tokenization: Tokenization = "separate"
    chat: ChatTokens | None = None

    @cached_property
    def eos_token(self) -> int:
        """Id of the end-of-sequence token or, in a chat, of the token that ends a turn.

        Raises:
            ModelError: The tokenizer has none.
        """
        token = self.tokenizer.eos_token_id if self.chat is None else self.chat.end
        if token is None:
            raise ModelError(
                "the tokenizer has no end-of-sequence token, so a target could not end",
                where=str(self.tokenizer.name_or_path),
                hint='set "eos_token" in its tokenizer_config.json',
            )
        return int(token)

    @cached_property
    def adds_eos(self) -> bool:
        """Whether the tokenizer by default ends a text with EOS (found by trying)."""
        return list(self.tokenizer("a")["input_ids"])[-1:] == [self.eos_token]

    @cached_property
    def inputs_start(self) -> tuple[int, ...]:
        """BOS if decoder-only inputs start with it; a chat template has its own."""
        is_wanted = self.family == "decoder-only" and self.chat is None
        return bos_added(self.tokenizer) if is_wanted else ()

    @cached_property
    def first_token(self) -> int:
        """The token before a text without context: BOS, or EOS if there is no BOS."""
        bos = self.tokenizer.bos_token_id
        return self.eos_token if bos is None else int(bos)

    @property
    def target_end(self) -> tuple[int, ...]:
        """EOS if targets end with it."""
        return (self.eos_token,) if self.score_eos else ()

    @cached_property
    def chat_encoder(self) -> ChatEncoder | None:
        """The encoder of prompts and replies in a chat; None without a chat."""
        return ChatEncoder(self.tokenizer, self.chat) if self.chat is not None else None

    @cached_property
    def _words(self) -> TextTokenizer:
        return text_tokenizer(self.tokenizer)

    def text_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of texts of the data, without anything around them."""
        return self._words.data(texts)

    def layout_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of texts in which the EOS mark is the EOS token."""
        if EOS_WORD not in self.layout.target_separator + self.layout.exemplar_separator:
            return self.text_ids(texts)
        parts = [text.split(EOS_MARK) for text in texts]
        pieces = iter(self.text_ids([part for group in parts for part in group]))
        return [_joined([next(pieces) for _ in group], self.eos_token) for group in parts]

    def inputs(self, prompts: Sequence[Prompt]) -> list[Laid]:
        """The ids of prompts up to where the target begins."""
        if self.chat_encoder is not None:
            return self.chat_encoder.inputs(prompts, self.layout)
        texts = [self.context_text(prompt) for prompt in prompts]
        eos = [self.eos_token] if self.family == "encoder-decoder" and self.inputs_eos else []
        return [Laid(inner=[*self.inputs_start, *ids, *eos]) for ids in self.layout_ids(texts)]

    def inputs_apart(self, prompts: Sequence[Prompt]) -> list[Laid]:
        """The same for prompts with a frame and no exemplars; parts that are never cut are tokenized separately."""
        wholes = self.inputs(prompts)
        parts = []
        for prompt in prompts:
            first, last = prompt.frame or (0, 0)
            end = len(prompt.inputs) - last
            parts += [prompt.preamble + prompt.inputs[:first], prompt.inputs[first:end], prompt.inputs[end:]]
        ids = self.text_ids(parts)
        eos = (self.eos_token,) if self.family == "encoder-decoder" and self.inputs_eos else ()
        return [
            Laid(
                before=(*(whole.before or self.inputs_start), *ids[at]),
                inner=ids[at + 1],
                after=(*ids[at + 2], *whole.after, *eos),
            )
            for at, whole in zip(range(0, len(ids), 3), wholes, strict=True)
        ]

    def targets(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of continuations, with their end."""
        if self.chat_encoder is not None:
            return self.chat_encoder.replies(texts, with_end=self.score_eos)
        return [[*ids, *self.target_end] for ids in self.text_ids(texts)]

    def context_text(self, prompt: Prompt) -> str:
        """The text before the target, with the layout's "<eos>" marked; without chat template."""
        text = inputs_text(prompt, self.layout, eos_token=EOS_MARK)
        if self.tokenization == "joint":
            # The separator and the spaces before it are part of what is scored.
            return text.rstrip()
        is_plain = self.family == "decoder-only" and self.chat is None
        return text + (self._to_target(prompt) if is_plain else "")

    def separated(self, prompt: Prompt, options: Sequence[str]) -> tuple[str, ...]:
        """The options as they follow the inputs: after the inputs' own last spaces and the target separator."""
        text = inputs_text(prompt, self.layout, eos_token=EOS_MARK)
        between = text[len(text.rstrip()) :] + self._to_target(prompt)
        return tuple(between + option for option in options)

    def _to_target(self, prompt: Prompt) -> str:
        """The target separator; nothing if the prompt contains it."""
        return "" if prompt.frame is not None else self.layout.target_separator.replace(EOS_WORD, EOS_MARK)


def prefixed(encoded: Encoded, ids: Sequence[int]) -> Encoded:
    """Each prompt with these ids before its inputs, and counted among its input tokens.

    They are positions of the prompt: packed with it, and not seen by other prompts.
    """
    first = id_array(ids)
    each = tuple(
        replace(counts, input_tokens=counts.input_tokens + len(first)) if prompt is not None else counts
        for prompt, counts in zip(encoded.prompts, encoded.each, strict=True)
    )
    return replace(encoded, prompts=tuple(_prefixed(prompt, first) for prompt in encoded.prompts), each=each)


def _prefixed(prompt: EncodedPrompt | None, first: Int32) -> EncodedPrompt | None:
    if prompt is None:
        return None
    contexts = tuple(np.concatenate([first, context]) for context in prompt.contexts)
    return replace(prompt, inputs=np.concatenate([first, prompt.inputs]), contexts=contexts)


def _joined(pieces: Sequence[list[int]], separator: int) -> list[int]:
    joined = list(pieces[0])
    for piece in pieces[1:]:
        joined += [separator, *piece]
    return joined
