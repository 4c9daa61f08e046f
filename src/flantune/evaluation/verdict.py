"""The one sentence a run comes to: as ready to say "worse" as "better"."""

from __future__ import annotations

from flantune.evaluation.points import score_points, signed_points
from flantune.evaluation.run_results import Difference, Direction, Estimate, Verdict


def make_verdict(
    *, base: Estimate, tuned: Estimate, difference: Difference, chance: float, tasks: int, clusters: int,
    confidence: float, shots: int, notes: tuple[str, ...] = (),
) -> Verdict:  # fmt: skip
    """The headline of a run, from its overall raw scores at the first number of shots."""
    direction = direction_of(difference)
    digits = enough_digits(difference)
    low, high = (signed_points(bound, digits=digits) for bound in (difference.low, difference.high))
    asked = f" with {_count(shots, 'exemplar')}" if shots else ""
    before, after = score_points(base.value), score_points(tuned.value)
    moved = f"changed the score from {before} to {after}" if before != after else f"left the score at {before}"
    text = (
        f"On {_count(tasks, 'task')} of {_count(clusters, 'cluster')} it never trained on{asked}, tuning {moved} "
        f"({signed_points(difference.value, digits=digits)} points, {100 * confidence:g}% interval {low} to {high}; "
        f"chance {score_points(chance)}): {direction}."
    )
    return Verdict(
        text=text,
        direction=direction,
        base=base.value,
        tuned=tuned.value,
        difference=difference.value,
        interval=(difference.low, difference.high),
        detectable=difference.detectable,
        chance=chance,
        tasks=tasks,
        clusters=clusters,
        notes=notes,
    )


def no_verdict(*, shots: int = 0) -> Verdict:
    """The headline of a run that measured nothing it had not trained on, with so many exemplars."""
    asked = f" with {_count(shots, 'exemplar')}" if shots else ""
    return Verdict(
        text=f"No task was both held out and measured{asked}, so nothing can be said about tasks never trained on: "
        "undecided.",
        direction="undecided",
        base=None,
        tuned=None,
        difference=None,
        interval=None,
        detectable=None,
        chance=None,
        tasks=0,
        clusters=0,
    )


def direction_of(difference: Estimate) -> Direction:
    """What a difference says once its whole interval is heeded.

    >>> direction_of(Estimate(value=0.1, low=-0.01, high=0.21, se=0.05))
    'undecided'
    >>> direction_of(Estimate(value=-0.1, low=-0.15, high=-0.05, se=0.025))
    'worse'
    """
    if difference.low > 0.0:
        return "better"
    return "worse" if difference.high < 0.0 else "undecided"


def enough_digits(difference: Estimate) -> int:
    """Enough digits that no end of the interval is printed as zero, which would hide on which side of it it lies."""
    ends = [abs(100 * end) for end in (difference.low, difference.high) if end != 0.0]
    return next((digits for digits in (1, 2, 3) if all(end >= 0.5 * 10**-digits for end in ends)), 4)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
