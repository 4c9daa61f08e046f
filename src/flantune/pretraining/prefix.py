"""Prefix objectives: the beginning of a text is read, and the rest is to be written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flantune.packing.encoded import id_array
from flantune.packing.packs import EncodedPrompt

if TYPE_CHECKING:
    from flantune.pretraining.marks import Marks
    from flantune.pretraining.objectives import Chances
    from flantune.pretraining.tokenized_corpus import TextAhead
    from flantune.types import Family


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """The rest of a stretch of one document, from the stretch's beginning; where it is cut is drawn.

    The end of a sequence is asked for where the document ends, and nowhere else. An encoder's text ends as all that it
    reads does.

    Attributes:
        tokens: Tokens of a stretch, at most, with what is around it.
        marks: What is around the text.
        hidden: Mean share of the stretch that is to be written. Above a half, every place is as likely to be cut at.
        prefix: What the inputs begin with.

    Paper: Raffel et al. 2020, section 3.2.3; Tay et al. 2022 (UL2's S-denoiser).
    """

    tokens: int
    marks: Marks
    hidden: float = 0.5
    prefix: tuple[int, ...] = ()

    @property
    def family(self) -> Family:
        """Either: a decoder-only model reads the inputs first in its row."""
        return self.marks.family

    @property
    def row(self) -> int:
        """Tokens that a row must have room for."""
        return self.tokens

    def take(self, text: TextAhead, chances: Chances) -> EncodedPrompt:
        """The next stretch of two tokens or more; a single one that is left of a document is passed over."""
        ids, ends = text.words_of_one(self._words)
        while len(ids) < 2:
            ids, ends = text.words_of_one(self._words)
        # Of L tokens, 1 … L − 1 are hidden, or as many fewer as make the mean what it should be.
        most = min(len(ids) - 1, max(1, round(2 * self.hidden * len(ids)) - 1))
        cut = len(ids) - chances.between(1, most)
        inputs = [*self.marks.begin, *self.prefix, *ids[:cut], *([self.marks.end] * self._after)]
        return EncodedPrompt(
            inputs=id_array(inputs), targets=(id_array([*ids[cut:], *([self.marks.end] if ends else [])]),)
        )

    @property
    def _before(self) -> int:
        return len(self.marks.begin) + len(self.prefix)

    @property
    def _after(self) -> int:
        return 1 if self.family == "encoder-decoder" else 0

    @property
    def _words(self) -> int:
        """Words of a stretch: with the end it is as long as said."""
        return self.tokens - self._before - 1
