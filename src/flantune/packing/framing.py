"""Ids that stand before every prompt's inputs: a model's virtual tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from flantune.packing.encoded import Encoded, id_array

if TYPE_CHECKING:
    from flantune.types import EncodedPrompt, Int32


def prefixed(encoded: Encoded, ids: Sequence[int]) -> Encoded:
    """Each prompt with these ids before its inputs, and counted among its input tokens.

    As positions of the prompt itself they are packed with it, and no other prompt sees them.
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
