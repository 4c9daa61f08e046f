"""Answers that a tokenizer cannot represent: with an unknown token, or two options with the same tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from flantune.packing.encoded import Encoded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from flantune.packing.packs import EncodedPrompt


def unknown_token(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The id of the unknown token; None if the tokenizer can represent everything.

    Byte-level tokenizers often name their end of sequence as the unknown token too, but never use it as such.
    """
    token = tokenizer.unk_token_id
    others = (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id)
    return None if token is None or token in others else int(token)


def with_unwritable(encoded: Encoded, texts: Sequence[Sequence[str]], *, unknown: int | None) -> Encoded:
    """The encoded prompts, with answers that cannot be represented in their counts.

    Args:
        encoded: The prompts.
        texts: The continuations of each.
        unknown: The unknown token's id; None: the tokenizer can represent everything.
    """
    each = list(encoded.each)
    for at, (prompt, words) in enumerate(zip(encoded.prompts, texts, strict=True)):
        if prompt is None:
            continue
        is_unknown = unknown is not None and any((target == unknown).any() for target in prompt.targets)
        is_alike = len(words) > 1 and alike(prompt, words) is not None
        if is_unknown or is_alike:
            each[at] = replace(each[at], answers_unknown=int(is_unknown), options_alike=int(is_alike))
    return replace(encoded, each=tuple(each))


def alike(prompt: EncodedPrompt, texts: Sequence[str]) -> tuple[str, str] | None:
    """Two different options with the same tokens, so that no score can distinguish them; None if there are none."""
    seen: dict[bytes, str] = {}
    contexts = prompt.contexts or (prompt.inputs[:0],) * len(prompt.targets)
    for context, target, text in zip(contexts, prompt.targets, texts, strict=True):
        other = seen.setdefault(np.concatenate([context, [-1], target]).tobytes(), text)
        if other != text:
            return other, text
    return None
