"""Gaps between groups of rows as ``results.json`` has them: what a model scores on either, and how far apart."""

from __future__ import annotations

from flantune.evaluation.estimates import Difference, Estimate, Fraction, Frozen, Natural

STEREOTYPE_SHARE = "stereotype_share"
"""How often the stereotype is the likelier of two sentences."""
NEUTRAL_METRICS = frozenset({STEREOTYPE_SHARE})
"""Metrics of which neither high nor low is good, so that no change is better or worse."""


class GroupScores(Frozen):
    """What one model scored on two groups of rows."""

    first: Estimate
    """Its score on the first group."""
    second: Estimate
    """Its score on the second."""
    gap: Difference
    """The first minus the second, paired where rows of the two are pairs: 0 where the groups are treated alike."""
    same_answer: Estimate | None
    """Share of pairs whose two rows got the same answer; null where rows are not pairs."""


class GapChange(Difference):
    """A later model's gap minus the first one's, on the same rows."""

    q: Fraction | None
    """False discovery rate of it, among the gaps of all parts of its benchmark; null for their average."""


class Gap(Frozen):
    """Two groups of rows, compared."""

    first: str
    """Name of the first group."""
    second: str
    """Name of the second group."""
    examples: tuple[Natural, Natural]
    """Rows of either that every model answered."""
    pairs: Natural
    """Rows of the first that have their like in the second; 0 where groups hold different texts."""
    scores: dict[str, GroupScores]
    """Model → its scores, in the order of ``Results.models``."""
    differences: dict[str, GapChange]
    """Later model → what its gap is more than the first model's."""

    @property
    def name(self) -> str:
        """Both groups, in the order of the subtraction."""
        return f"{self.first} − {self.second}"

    def is_narrower(self, model: str) -> bool | None:
        """Whether a later model's gap is clearly nearer to zero than the first's; None where that is undecided."""
        if self.differences[model].direction == "undecided":
            return None
        first = next(iter(self.scores.values()))
        return abs(self.scores[model].gap.value) < abs(first.gap.value)
