"""Tokens around the text in a draw: begin and end of a sequence, sentinels, mode words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import count, takewhile
from typing import TYPE_CHECKING

from flantune.packing.tokenize import bos_added, text_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from flantune.types import Family

_SENTINEL = re.compile(r"<extra_id_(\d{1,5})>")


def sentinel_name(number: int) -> str:
    """T5's name for the sentinel of a hidden span: spans are numbered from 0 in the order of the text."""
    return f"<extra_id_{number}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Ids of the tokens that are not text.

    Attributes:
        family: The model's.
        begin: The tokens that the tokenizer puts before a text (BOS); none for encoder-decoders.
        end: The end of a sequence (EOS).
        sentinels: The sentinels, in order.
    """

    family: Family
    begin: tuple[int, ...]
    end: int
    sentinels: tuple[int, ...]


def sentinels_of(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The ids of a vocabulary's sentinels, from number 0 to the first gap."""
    found = {int(match[1]): at for word, at in tokenizer.get_vocab().items() if (match := _SENTINEL.fullmatch(word))}
    return tuple(found[number] for number in takewhile(found.__contains__, count()))


def add_sentinels(tokenizer: PreTrainedTokenizerBase, wanted: int) -> int:
    """Adds missing sentinels to a vocabulary, the last one first, so that ids decrease as in T5's.

    Returns:
        How many were added.
    """
    there = len(sentinels_of(tokenizer))
    lacking = [sentinel_name(number) for number in reversed(range(there, wanted))]
    return tokenizer.add_tokens(lacking, special_tokens=True) if lacking else 0


def marks_of(tokenizer: PreTrainedTokenizerBase, family: Family) -> Marks:
    """The marks of a tokenizer."""
    return Marks(
        family=family,
        begin=bos_added(tokenizer) if family == "decoder-only" else (),
        end=int(tokenizer.eos_token_id),
        sentinels=sentinels_of(tokenizer),
    )


def word_ids_of(tokenizer: PreTrainedTokenizerBase, word: str) -> tuple[int, ...]:
    """The ids of a word, without special tokens."""
    (ids,) = text_tokenizer(tokenizer).data([word])
    return tuple(int(one) for one in ids)
