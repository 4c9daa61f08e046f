"""Gaps between groups of rows in the format of ``results.json``: a model's score on each, and the difference."""

from __future__ import annotations

from flantune.evaluation.estimates import Difference, Estimate, Fraction, Frozen, Natural

STEREOTYPE_SHARE = "stereotype_share"
"""The share of pairs in which the stereotype is the likelier of two sentences."""
NEUTRAL_METRICS = frozenset({STEREOTYPE_SHARE})
"""Metrics for which neither high nor low is good, so that no change is better or worse."""


class GroupScores(Frozen):
    """One model's scores on two groups of rows."""

    first: Estimate
    """Its score on the first group."""
    second: Estimate
    """Its score on the second."""
    gap: Difference
    """The first minus the second, paired if rows of the two are pairs; 0 if the groups are treated alike."""
    same_answer: Estimate | None
    """Share of pairs whose two rows got the same answer; null if rows are not pairs."""


class GapChange(Difference):
    """A later model's gap minus the first one's, on the same rows."""

    q: Fraction | None
    """Its false discovery rate, among the gaps of all parts of its benchmark; null for their average."""


class Gap(Frozen):
    """Two groups of rows, compared."""

    first: str
    """Name of the first group."""
    second: str
    """Name of the second group."""
    examples: tuple[Natural, Natural]
    """Rows of each that every model answered."""
    pairs: Natural
    """Rows of the first with a counterpart in the second; 0 if the groups have different texts."""
    scores: dict[str, GroupScores]
    """Model → its scores, in the order of ``Results.models``."""
    differences: dict[str, GapChange]
    """Later model → its gap minus the first model's."""

    @property
    def name(self) -> str:
        """Both groups, in the order of the subtraction."""
        return f"{self.first} − {self.second}"

    def is_narrower(self, model: str) -> bool | None:
        """Whether a later model's gap is clearly closer to zero than the first's; None if undecided."""
        if self.differences[model].direction == "undecided":
            return None
        first = next(iter(self.scores.values()))
        return abs(self.scores[model].gap.value) < abs(first.gap.value)
