"""Ids that stand around every prompt's inputs: virtual tokens and a chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from flantune.packing.encode import Encoded
    from flantune.types import EncodedPrompt, Int32


def framed(encoded: Encoded, *, before: Sequence[int], after: Sequence[int]) -> Encoded:
    """Each prompt with these ids around its inputs, and counted among its input tokens.

    As positions of the prompt itself they are packed with it, and no other prompt sees them.
    """
    first, last = (np.asarray(ids, dtype=np.int32) for ids in (before, after))
    added = len(first) + len(last)
    each = tuple(
        replace(counts, input_tokens=counts.input_tokens + added) if prompt is not None else counts
        for prompt, counts in zip(encoded.prompts, encoded.each, strict=True)
    )
    return replace(encoded, prompts=tuple(_framed(prompt, first, last) for prompt in encoded.prompts), each=each)


def _framed(prompt: EncodedPrompt | None, first: Int32, last: Int32) -> EncodedPrompt | None:
    if prompt is None:
        return None
    contexts = tuple(np.concatenate([first, context, last]) for context in prompt.contexts)
    return replace(prompt, inputs=np.concatenate([first, prompt.inputs, last]), contexts=contexts)
