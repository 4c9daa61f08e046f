"""What is around a text when it is asked about: ends, sentinels, words that say what kind of question it is."""

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
    """The sentinel of a hidden span, by the span's place in the text; T5's names."""
    return f"<extra_id_{number}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Ids that are not text.

    Attributes:
        family: Kind of model that reads them.
        begin: What the tokenizer puts before a text (BOS); nothing for encoder-decoders.
        end: The end of a sequence (EOS).
        sentinels: The sentinel of each hidden span, in order.
    """

    family: Family
    begin: tuple[int, ...]
    end: int
    sentinels: tuple[int, ...]


def sentinels_of(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The sentinels that a vocabulary has, without a gap from the first on."""
    found = {int(match[1]): at for word, at in tokenizer.get_vocab().items() if (match := _SENTINEL.fullmatch(word))}
    return tuple(found[number] for number in takewhile(found.__contains__, count()))


def add_sentinels(tokenizer: PreTrainedTokenizerBase, wanted: int) -> int:
    """Gives a vocabulary the sentinels that it lacks, the last one first: they are numbered downwards, as T5's.

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
    """A word as the tokenizer spells it, nothing added."""
    (ids,) = text_tokenizer(tokenizer).data([word])
    return tuple(int(one) for one in ids)
