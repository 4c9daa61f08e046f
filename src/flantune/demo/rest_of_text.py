"""What the demo's encoder-decoder learns from plain text: to write what a text lacks, at its end or here and there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flantune.packing.encoded import id_array
from flantune.packing.packs import EncodedPrompt

if TYPE_CHECKING:
    from flantune.pretraining.objectives import Chances
    from flantune.pretraining.tokenized_corpus import TextAhead

FIRST_SIGN, SIGNS = 2 + 0xF5, 11
"""Token ids of the bytes F5 to FF, which UTF-8 never uses."""
_DOCUMENTS = (1,) * 17 + (2,) * 2 + (3,)
"""How many documents a draw has, each of these as likely."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestOfText:
    """The rest of a document whose beginning is read, or its short spans that were left out.

    Sometimes whole documents stand before the one that is asked about.

    Attributes:
        max_input_tokens: More of them go from the left.
        max_target_tokens: More of them go from the right.
        spans_share: Share of draws in which spans are left out.
    """

    max_input_tokens: int
    max_target_tokens: int
    spans_share: float = 0.25
    family: Literal["encoder-decoder"] = "encoder-decoder"

    def take(self, text: TextAhead, chances: Chances) -> EncodedPrompt:
        """One document, or two or three."""
        *before, last = (text.document() for _ in range(chances.one_of(_DOCUMENTS)))
        asked = without_spans(last, chances) if chances.happens(self.spans_share) else cut(last, chances)
        inputs = [token for one in before for token in one[:-1]] + asked[0] + last[-1:]
        return EncodedPrompt(
            inputs=id_array(inputs[-self.max_input_tokens :]),
            targets=(id_array(asked[1][: self.max_target_tokens]),),
        )


def cut(document: list[int], chances: Chances) -> tuple[list[int], list[int]]:
    """A document's beginning and its rest: mostly all of it, else a few tokens, which the encoder must tell."""
    if chances.happens(0.7):
        at = chances.between(len(document) // 8, len(document) * 3 // 4)
        return document[:at], document[at:]
    at = chances.between(len(document) // 3, max(len(document) - 2, len(document) // 3))
    return document[:at], document[at : at + 6]


def without_spans(document: list[int], chances: Chances) -> tuple[list[int], list[int]]:
    """A document with short spans left out, each under a sign of its own; and the signs with what belongs there.

    Paper: Raffel et al. 2020, section 3.1.4 (span corruption). The signs are bytes that no text contains.
    """
    inputs: list[int] = []
    targets: list[int] = []
    at, sign = 0, FIRST_SIGN
    last = len(document) - 1  # the end of the sequence, which is said only when it is reached in writing
    while at < last:
        if sign < FIRST_SIGN + SIGNS and chances.happens(0.14):
            size = chances.between(1, 3)
            targets += [sign, *document[at : min(at + size, last)]]
            inputs.append(sign)
            at, sign = at + size, sign + 1
        inputs += document[at : min(at + 1, last)]
        at += 1
    return inputs, targets or [document[-1]]
