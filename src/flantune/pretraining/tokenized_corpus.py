"""A corpus as ids, read on from any place."""

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
"""A place is one number: a document's, times 2 to the power of this, plus the number of a token in it."""
_BLOCK = 64
"""Documents tokenized at once."""
_KEPT_BLOCKS = 4
_EMPTY_DOCUMENTS = 10_000
"""So many documents in a row without a token mean that none will come."""


class TokenizedCorpus:
    """The documents of a corpus as ids, each with what is around it.

    BOS comes first where the tokenizer itself would put it (decoder-only), EOS last. Words of the text that look like
    special tokens stay words.
    """

    def __init__(self, corpus: Corpus, tokenizer: PreTrainedTokenizerBase, family: Family) -> None:
        self._corpus, self._text = corpus, text_tokenizer(tokenizer)
        self._before = bos_added(tokenizer) if family == "decoder-only" else ()
        self._after = int(tokenizer.eos_token_id)
        self._block = lru_cache(maxsize=_KEPT_BLOCKS)(self._tokenized)

    @property
    def words_begin(self) -> int:
        """Where the words of each document begin: after BOS, if there is one."""
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
    """The text from a place on, taken piece by piece.

    Args:
        documents: All of them.
        place: Where to begin; see ``PLACE_BITS``.
    """

    def __init__(self, documents: TokenizedCorpus, place: int) -> None:
        self._documents = documents
        self._document, self._at = divmod(place, 1 << PLACE_BITS)

    @property
    def place(self) -> int:
        """The next token's."""
        return (self._document << PLACE_BITS) + self._at

    @property
    def document_number(self) -> int:
        """The next token's document."""
        return self._document

    def ids(self, count: int) -> list[int]:
        """The next ``count`` ids, from as many documents as it takes."""
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
        """The next ``count`` ids of text alone: neither BOS nor EOS of the documents is among them."""
        found: list[int] = []
        while len(found) < count:
            found += self.words_of_one(count - len(found))[0]
        return found

    def words_of_one(self, longest: int) -> tuple[list[int], bool]:
        """The next ids of text of one document, at most ``longest``; and whether the document ends there.

        Raises:
            PackingError: The tokenizer makes nothing of any text.
        """
        for _ in range(_EMPTY_DOCUMENTS):
            document = self._documents[self._document]
            first, stop = max(self._at, self._documents.words_begin), len(document) - 1
            found = list(document[first : min(first + longest, stop)])
            self._at = first + len(found)
            ends = self._at >= stop
            if ends:
                self._turn()
            if found:
                return found, ends
        raise _no_token()

    def ids_of_one(self, longest: int) -> list[int]:
        """The next ids of one document, two or more and at most ``longest``, with what is around the document.

        A single id that is left of a document has nothing to be learned from, and is passed over.

        Raises:
            PackingError: The tokenizer makes nothing of any text.
        """
        for _ in range(_EMPTY_DOCUMENTS):
            document = self._documents[self._document]
            found = list(document[self._at : self._at + longest])
            self._at += len(found)
            if len(document) - self._at < 2:
                self._turn()
            if len(found) > 1:
                return found
        raise _no_token()

    def document(self) -> list[int]:
        """What is left of a document."""
        rest = list(self._documents[self._document][self._at :])
        self._turn()
        return rest

    def _turn(self) -> None:
        self._document, self._at = self._document + 1, 0


def _no_token() -> PackingError:
    return PackingError(f"{_EMPTY_DOCUMENTS:,} documents in a row have no token", hint="look at the text")
