"""The texts whose n-grams are compared: each field separately, and rows with only short fields as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flantune.contamination.compared_rows import WHOLE_ROW, Block
from flantune.contamination.hashing import Bool, Int64, PrefixSums, UInt64, expand, prefix_sums, ranges


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Units:
    """The units of a block, with their words in succession.

    Attributes:
        firsts: Place of each unit's first word among the units' words, and the end: shape [units + 1].
        words: Number in the block of each unit's first word, shape [units].
        rows: Row of each unit in the corpus, shape [units].
        fields: Number of its text in the row, or ``WHOLE_ROW``, shape [units].
        may_be_short: Whether a measured unit of fewer words than a gram is compared as a whole, shape [units].
        sums: Rolling hashes over the units' words.
    """

    firsts: Int64
    words: Int64
    rows: Int64
    fields: Int64
    may_be_short: Bool
    sums: PrefixSums

    @property
    def sizes(self) -> Int64:
        """Words of each unit, shape [units]."""
        return np.diff(self.firsts)


def make_units(block: Block, *, ngram: int) -> Units:
    """A block's units.

    Every text is a unit. A row whose texts are all shorter than an n-gram (a COPA premise with its two choices, a
    trivia question with its answer) is another unit as a whole; otherwise it could hardly ever be recognized. Only such
    rows are searched by texts with fewer words than an n-gram, and not by their references: the title of a passage or
    the name of a film, of eight words, can occur anywhere.
    """
    firsts, row_of_text = block.words.firsts, block.row_of_text
    sizes = np.diff(firsts)
    first_text = np.searchsorted(row_of_text, np.arange(block.rows + 1))
    longest = np.zeros(block.rows, dtype=np.int64)
    np.maximum.at(longest, row_of_text, sizes)
    row_words = firsts[first_text]
    row_sizes = np.diff(row_words)
    is_short = (longest < ngram) & (row_sizes > longest)
    starts = np.concatenate([firsts[:-1], row_words[:-1][is_short]])
    all_sizes = np.concatenate([sizes, row_sizes[is_short]])
    numbers = np.arange(len(row_of_text)) - first_text[row_of_text]
    short_rows = np.flatnonzero(is_short)
    return Units(
        firsts=ranges(all_sizes),
        words=starts,
        rows=np.concatenate([row_of_text, short_rows]) + block.first_row,
        fields=np.concatenate([numbers, np.full(len(short_rows), WHOLE_ROW)]),
        may_be_short=np.concatenate(
            [(longest < ngram)[row_of_text] & ~block.is_reference, np.ones(len(short_rows), dtype=np.bool_)]
        ),
        sums=prefix_sums(_hashes(block, row_words, short_rows)),
    )


def _hashes(block: Block, row_words: Int64, short_rows: Int64) -> UInt64:
    sizes = row_words[short_rows + 1] - row_words[short_rows]
    return np.concatenate([block.words.hashes, block.words.hashes[expand(row_words[short_rows], sizes)]])
