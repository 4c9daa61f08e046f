"""The text of each token; joined, they are the whole text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flantune.packing.tokenize import decode, text_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BROKEN = "\ufffd"
"""What a decoder shows for an incomplete character."""
_LONGEST_CHARACTER = 4
"""Bytes of a character, and so the most tokens that share one."""


def text_pieces(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> tuple[str, ...]:
    """The text of each token, with its spaces.

    Decoded alone, a token of many tokenizers loses the space before it, and a missing space cannot be distinguished
    from an existing one. So each is decoded after another. A character of several tokens is shown at its last one.

    Args:
        tokenizer: The tokenizer.
        tokens: Ids; special tokens are shown.
    """
    anchor = text_tokenizer(tokenizer).data(["a"])[0][-1:]
    alone = decode(tokenizer, anchor, shows_special=True)
    pieces: list[str] = []
    held: list[int] = []
    for token in tokens:
        held.append(int(token))
        piece = decode(tokenizer, [*anchor, *held], shows_special=True).removeprefix(alone)
        is_whole = not piece.endswith(_BROKEN) or len(held) == _LONGEST_CHARACTER
        pieces.append(piece if is_whole else "")
        held = [] if is_whole else held
    if held:
        pieces[-1] = decode(tokenizer, [*anchor, *held], shows_special=True).removeprefix(alone)
    return tuple(pieces)
