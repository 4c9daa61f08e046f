"""Prefix objectives: the model reads the beginning of a text and predicts the rest."""

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
    """Predicts the rest of a stretch of one document from its beginning; the cut between them is random.

    The targets end with EOS only where the document ends. The inputs of an encoder always end with EOS.

    Attributes:
        tokens: Largest number of tokens of a draw, including those around the text.
        marks: Ids of the tokens around the text.
        hidden: Mean share of the stretch that is predicted. From 0.5 on, all cuts are equally likely.
        prefix: Ids that the inputs begin with, after BOS: a mode word.

    Paper: Raffel et al. 2020, section 3.2.3; Tay et al. 2022 (UL2's S-denoiser).
    """

    tokens: int
    marks: Marks
    hidden: float = 0.5
    prefix: tuple[int, ...] = ()

    @property
    def family(self) -> Family:
        """Either family: in a decoder-only model the inputs precede the targets in the row."""
        return self.marks.family

    @property
    def row(self) -> int:
        """Tokens that a row must have room for."""
        return self.tokens

    def take(self, text: TextAhead, chances: Chances) -> EncodedPrompt:
        """The next stretch of at least two tokens; a single token left over of a document is skipped."""
        ids, ends = text.words_of_one(self._words, least=2)
        # Of L tokens, 1 … L − 1 are predicted, or at most as many as result in the desired mean.
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
        """Largest number of text tokens of a stretch; leaves room for EOS."""
        return self.tokens - self._before - 1
