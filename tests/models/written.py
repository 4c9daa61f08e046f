"""Answers as plain lists of tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flantune.models.language_model import LanguageModel
from flantune.models.writing.decoding import Decoding
from flantune.models.writing.generate import write


def generate(
    lm: LanguageModel, inputs: Sequence[np.ndarray], *, max_new_tokens: int, batch_tokens: int = 8_192
) -> list[list[int]]:
    """The most likely tokens after each input, in the order given, without the end of sequence."""
    written = write(lm, inputs, Decoding(max_new_tokens=max_new_tokens), batch_tokens=batch_tokens)
    found = {answer.index: list(answer.tokens) for answer in written}
    return [found[at] for at in range(len(inputs))]
