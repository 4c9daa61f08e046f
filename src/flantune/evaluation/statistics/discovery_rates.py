"""False discovery rates of differences that are considered together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from flantune.evaluation.estimates import Difference, Direction, PairedDifference
from flantune.evaluation.statistics.means import false_discovery_rates
from flantune.evaluation.statistics.skill_scores import SKILL_MEASURES


def clear_direction(difference: Difference, rate: float | None, *, confidence: float) -> Direction:
    """The direction of a difference among several: "better" or "worse" only if its rate is low too.

    Args:
        difference: The difference.
        rate: Its false discovery rate; None: it is the only one, so the interval decides.
        confidence: Level of the interval; the rate may be at most 1 minus this.
    """
    return difference.direction if rate is None or rate <= 1.0 - confidence + 1e-12 else "undecided"


def with_rates(found: Sequence[tuple[Hashable | None, PairedDifference]]) -> list[PairedDifference]:
    """The differences with their rates, in order; scores and each measure of skill are separate.

    Args:
        found: Each with its family; None: no family.

    Paper: Benjamini and Hochberg 1995.
    """
    rated = [difference for _, difference in found]
    families: dict[Hashable, list[int]] = {}
    for at, (family, _) in enumerate(found):
        if family is not None:
            families.setdefault(family, []).append(at)
    for members in families.values():
        rates = false_discovery_rates([rated[at].p for at in members])
        for at, rate in zip(members, rates, strict=True):
            rated[at] = rated[at].model_copy(update={"q": rate})
        for measure in SKILL_MEASURES:
            _rate_skill(rated, members, measure)
    return rated


def _rate_skill(rated: list[PairedDifference], members: Sequence[int], measure: str) -> None:
    """Sets the rates of one measure, if defined."""
    tested = [(at, skill) for at in members for skill in [rated[at].skill] if skill and getattr(skill, measure)]
    rates = false_discovery_rates([getattr(skill, measure).p for _, skill in tested])
    for (at, skill), rate in zip(tested, rates, strict=True):
        rated[at] = rated[at].model_copy(update={"skill": skill.model_copy(update={f"{measure}_q": rate})})
