"""A corpus as ids, readable from any place."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from flantune.errors import PackingError
from flantune.packing.tokenize import bos_added, text_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from flantune.pretraining.corpus import Corpus
    from flantune.types import Family

PLACE_BITS = 17
"""A place in a corpus is one number: that of a document, shifted left by so many bits, plus that of a token in it."""
_BLOCK = 64
"""Number of documents tokenized at once."""
_KEPT_BLOCKS = 4
_EMPTY_DOCUMENTS = 10_000
"""After this many consecutive documents that are too short, reading ends with an error."""


class TokenizedCorpus:
    """The documents of a corpus as ids, each with BOS and EOS.

    BOS comes first if the tokenizer itself would add it (decoder-only), EOS last. Text that looks like a special token
    is tokenized as text.
    """

    def __init__(self, corpus: Corpus, tokenizer: PreTrainedTokenizerBase, family: Family) -> None:
        self._corpus, self._text = corpus, text_tokenizer(tokenizer)
        self._before = bos_added(tokenizer) if family == "decoder-only" else ()
        self._after = int(tokenizer.eos_token_id)
        self._block = lru_cache(maxsize=_KEPT_BLOCKS)(self._tokenized)

    @property
    def words_begin(self) -> int:
        """Index of the first text token of each document: after BOS, if there is one."""
        return len(self._before)

    def __getitem__(self, number: int) -> Sequence[int]:
        """The ids of a document."""
        block, place = divmod(number, _BLOCK)
        return self._block(block)[place]

    def _tokenized(self, block: int) -> list[Sequence[int]]:
        numbers = range(block * _BLOCK, (block + 1) * _BLOCK)
        found = self._text.data([self._corpus[number] for number in numbers])
        if (longest := max(map(len, found))) >= (1 << PLACE_BITS) - 2:
            hint = "cut long documents into several"
            raise PackingError(f"a document has {longest:,} tokens", where=f"documents {numbers}", hint=hint)
        return [[*self._before, *ids, self._after] for ids in found]


class TextAhead:
    """The text from a place on, consumed piece by piece.

    Args:
        documents: The corpus.
        place: Where to begin; see ``PLACE_BITS``.
    """

    def __init__(self, documents: TokenizedCorpus, place: int) -> None:
        self._documents = documents
        self._document, self._at = divmod(place, 1 << PLACE_BITS)

    @property
    def place(self) -> int:
        """The place of the next token."""
        return (self._document << PLACE_BITS) + self._at

    @property
    def document_number(self) -> int:
        """The number of the next token's document."""
        return self._document

    def ids(self, count: int) -> list[int]:
        """The next ``count`` ids, from as many documents as needed, with their BOS and EOS."""
        found: list[int] = []
        while len(found) < count:
            rest = self._documents[self._document][self._at :]
            taken = rest[: count - len(found)]
            found += taken
            self._at += len(taken)
            if len(taken) == len(rest):
                self._turn()
        return found

    def words(self, count: int) -> list[int]:
        """The next ``count`` ids of text, without the BOS and EOS of the documents."""
        found: list[int] = []
        while len(found) < count:
            found += self.words_of_one(count - len(found))[0]
        return found

    def words_of_one(self, longest: int, *, least: int = 1) -> tuple[list[int], bool]:
        """The next ids of text of one document, without BOS and EOS, and whether the document ends there.

        Args:
            longest: Largest number of ids.
            least: Smallest number of ids: a shorter rest of a document is skipped.

        Raises:
            PackingError: Many consecutive documents have fewer ids.
        """
        for _ in range(_EMPTY_DOCUMENTS):
            document = self._documents[self._document]
            first, stop = max(self._at, self._documents.words_begin), len(document) - 1
            found = list(document[first : min(first + longest, stop)])
            self._at = first + len(found)
            ends = self._at >= stop
            if ends:
                self._turn()
            if len(found) >= least:
                return found, ends
        raise _too_short(least)

    def ids_of_one(self, longest: int) -> list[int]:
        """The next ids of one document with its BOS and EOS, at least two and at most ``longest``.

        A single id left over of a document is skipped: there is nothing before it to predict it from.

        Raises:
            PackingError: Many consecutive documents have no token.
        """
        for _ in range(_EMPTY_DOCUMENTS):
            document = self._documents[self._document]
            found = list(document[self._at : self._at + longest])
            self._at += len(found)
            if len(document) - self._at < 2:
                self._turn()
            if len(found) > 1:
                return found
        raise _too_short(1)

    def document(self) -> list[int]:
        """The rest of the current document with its EOS."""
        rest = list(self._documents[self._document][self._at :])
        self._turn()
        return rest

    def _turn(self) -> None:
        self._document, self._at = self._document + 1, 0


def _too_short(least: int) -> PackingError:
    what = "no token" if least == 1 else f"fewer than {least} tokens"
    message = f"{_EMPTY_DOCUMENTS:,} consecutive documents have {what}"
    return PackingError(message, hint="check the text and the tokenizer")
