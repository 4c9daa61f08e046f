"""Mixtures of denoisers, as in UL2 and U-PaLM: each draw uses one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flantune.pretraining.prefix import Prefix
from flantune.pretraining.spans import SpanCorruption

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flantune.packing.packs import EncodedPrompt
    from flantune.pretraining.marks import Marks
    from flantune.pretraining.objectives import Chances
    from flantune.pretraining.tokenized_corpus import TextAhead
    from flantune.types import Family

Denoiser = SpanCorruption | Prefix

REGULAR, EXTREME, SEQUENTIAL = "[NLU]", "[NLG]", "[S2S]"
"""The mode words, which tell a model the kind of denoiser: R, X or S."""
S_HIDDEN = 0.25
"""Mean share of a text that the S-denoiser hides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denoisers:
    """A mixture of denoisers.

    Attributes:
        parts: Each denoiser with its weight: with weights 1 and 3, the second has three of four draws.
    """

    parts: tuple[tuple[int, Denoiser], ...]

    @property
    def family(self) -> Family:
        """The family of all of them."""
        return self.parts[0][1].family

    @property
    def row(self) -> int:
        """Tokens that a row must have room for."""
        return max(denoiser.row for _, denoiser in self.parts)

    def take(self, text: TextAhead, chances: Chances) -> EncodedPrompt:
        """The next draw, by one of the denoisers."""
        drawn = chances.below(sum(part for part, _ in self.parts))
        for part, denoiser in self.parts:
            if drawn < part:
                return denoiser.take(text, chances)
            drawn -= part
        raise AssertionError(drawn)  # drawn is below the sum of the parts


def ul2(input_tokens: int, marks: Marks, modes: Mapping[str, tuple[int, ...]]) -> Denoisers:
    """UL2's seven denoisers with equal weights: two R, four X, one S.

    Paper: Tay et al. 2022, section 3.1 and table 1.
    """
    regular = [(1, 0.15, 3.0), (1, 0.15, 8.0)]
    extreme = [(1, 0.5, 3.0), (1, 0.5, 8.0), (1, 0.15, 64.0), (1, 0.5, 64.0)]
    return _mixed(input_tokens, marks, modes, regular=regular, extreme=extreme, sequential=1)


def ul2r(input_tokens: int, marks: Marks, modes: Mapping[str, tuple[int, ...]]) -> Denoisers:
    """U-PaLM's denoisers: half of the draws by S, a quarter by R, a quarter by one of two X.

    Paper: Tay et al. 2022 (U-PaLM), section 3.3.
    """
    return _mixed(
        input_tokens,
        marks,
        modes,
        regular=[(2, 0.15, 3.0)],
        extreme=[(1, 0.15, 32.0), (1, 0.5, 3.0)],
        sequential=4,
    )


def _mixed(
    input_tokens: int,
    marks: Marks,
    modes: Mapping[str, tuple[int, ...]],
    *,
    regular: Sequence[tuple[int, float, float]],
    extreme: Sequence[tuple[int, float, float]],
    sequential: int,
) -> Denoisers:
    spans = [
        (part, SpanCorruption(input_tokens=input_tokens, density=density, mean=mean, marks=marks, prefix=prefix))
        for prefix, kinds in ((modes.get(REGULAR, ()), regular), (modes.get(EXTREME, ()), extreme))
        for part, density, mean in kinds
    ]
    rest = Prefix(tokens=input_tokens, marks=marks, hidden=S_HIDDEN, prefix=modes.get(SEQUENTIAL, ()))
    return Denoisers(parts=(*spans, (sequential, rest)))
