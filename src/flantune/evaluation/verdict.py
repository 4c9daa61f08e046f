"""The one-sentence conclusion of a comparison, symmetric between "better" and "worse"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flantune.evaluation.estimates import Difference, Direction, PairedDifference
from flantune.evaluation.points import counted, score_points, signed_points
from flantune.evaluation.results import Contrast, Verdict
from flantune.evaluation.statistics.discovery_rates import clear_direction
from flantune.evaluation.statistics.means import false_discovery_rates


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A mean over tasks, of two models.

    Attributes:
        names: Names of the two: the first, and the later one.
        first: The first model's.
        second: The later one's.
        difference: The later minus the first.
        exams: The tasks.
    """

    names: tuple[str, str]
    first: float
    second: float
    difference: Difference
    exams: tuple[str, ...]


def change_of(contrast: Contrast, first: str, model: str) -> Change:
    """A later model against the first."""
    return Change(
        names=(first, model),
        first=contrast.scores[first].value,
        second=contrast.scores[model].value,
        difference=contrast.differences[model],
        exams=contrast.exams,
    )


def make_verdict(
    change: Change, *, chance: float, tasks: int, clusters: int, confidence: float, shots: int, is_run: bool,
    notes: tuple[str, ...] = (),
) -> Verdict:  # fmt: skip
    """The headline, from overall raw scores at the first number of shots."""
    difference, digits = change.difference, enough_digits(change.difference)
    low, high = (signed_points(bound, digits=digits) for bound in (difference.low, difference.high))
    measured = f"{counted(tasks, 'task')} of {counted(clusters, 'cluster')}"
    text = (
        f"On {measured}{_told(change, is_run=is_run, asked=_asked(shots))} "
        f"({signed_points(difference.value, digits=digits)} points, {100 * confidence:g}% interval {low} to {high}; "
        f"chance {score_points(chance)}): {difference.direction}."
    )
    return Verdict(
        text=text,
        direction=difference.direction,
        first=change.first,
        second=change.second,
        difference=difference,
        chance=chance,
        tasks=tasks,
        clusters=clusters,
        notes=notes,
    )


def trained_verdict(differences: Mapping[str, PairedDifference], *, confidence: float, shots: int) -> Verdict:
    """The headline if only tasks trained on were measured: how many of them clearly changed.

    Args:
        differences: Task → the later model minus the first, on rows that were not trained on.
        confidence: Level of the intervals. Among several tasks, those with a low false discovery rate count as changed.
        shots: Exemplars before each query.
    """
    found = _by_direction(
        (name, one.value, clear_direction(one, one.q, confidence=confidence)) for name, one in differences.items()
    )
    better, worse = bool(found["better"]), bool(found["worse"])
    direction: Direction = "better" if better and not worse else "worse" if worse and not better else "undecided"
    if len(differences) == 1:
        ((name, one),) = differences.items()
        digits = enough_digits(one)
        low, high = (signed_points(bound, digits=digits) for bound in (one.low, one.high))
        text = (
            f"On new rows of {name}, which it was trained on{_asked(shots)}, tuning changed the score by "
            f"{signed_points(one.value, digits=digits)} points ({100 * confidence:g}% interval {low} to {high}): "
            f"{direction}."
        )
    else:
        told = _clearly(found, "task") or "none clearly changed"
        text = f"On new rows of the {len(differences)} tasks that it was trained on{_asked(shots)}: {told}."
    nothing = "No task was both held out and measured, so nothing can be said about tasks never trained on."
    return _without_numbers(f"{text} {nothing}", direction)


def moved_notes(clusters: Sequence[tuple[str, Difference]], *, confidence: float) -> tuple[str, ...]:
    """The clusters that clearly changed, the largest change first; nothing if there is only one cluster.

    A change is clear if its false discovery rate among all of them is low, as in the table of clusters.
    """
    if len(clusters) < 2:
        return ()
    rates = false_discovery_rates([difference.p for _, difference in clusters])
    found = _by_direction(
        (name, difference.value, clear_direction(difference, rate, confidence=confidence))
        for (name, difference), rate in zip(clusters, rates, strict=True)
    )
    told = _clearly(found, "cluster")
    if not told:
        return (f"None of the {len(clusters)} clusters changed clearly on its own.",)
    return (f"{told[0].upper()}{told[1:]}.",)


_Moved = Mapping[Direction, Sequence[tuple[str, float]]]


def _by_direction(found: Iterable[tuple[str, float, Direction]]) -> _Moved:
    """Direction → what changed in that direction, and by how much, the largest change first."""
    sides: dict[Direction, list[tuple[str, float]]] = {"better": [], "worse": [], "undecided": []}
    for name, value, direction in sorted(found, key=lambda one: -abs(one[1])):
        sides[direction].append((name, value))
    return sides


def _clearly(found: _Moved, what: str) -> str:
    """What clearly changed, by name, and how many did not; empty if nothing did."""
    said = [
        f"clearly {direction}: " + ", ".join(f"{name} ({signed_points(value)})" for name, value in named)
        for direction, named in found.items()
        if named and direction != "undecided"
    ]
    others = len(found["undecided"])
    left = [f"not clear: {counted(others, f'other {what}')}"] if others and said else []
    return "; ".join([*said, *left])


def no_verdict(*, shots: int, is_run: bool) -> Verdict:
    """The headline if nothing unseen was measured with this number of exemplars."""
    asked = _asked(shots)
    lacking = (
        f"No task was both held out and measured{asked}, so nothing can be said about tasks never trained on"
        if is_run
        else f"No task was measured{asked} that no model was trained on, so nothing can be said about unseen ones"
    )
    return _without_numbers(f"{lacking}: undecided.", "undecided")


def _without_numbers(text: str, direction: Direction) -> Verdict:
    """A headline without a score: nothing unseen was measured."""
    return Verdict(
        text=text,
        direction=direction,
        first=None,
        second=None,
        difference=None,
        chance=None,
        tasks=0,
        clusters=0,
        notes=(),
    )


def enough_digits(difference: Difference) -> int:
    """Enough digits that no end of the interval is printed as zero, which would hide its sign."""
    ends = [abs(100 * end) for end in (difference.low, difference.high) if end != 0.0]
    return next((digits for digits in (1, 2, 3) if all(end >= 0.5 * 10**-digits for end in ends)), 4)


def _told(change: Change, *, is_run: bool, asked: str) -> str:
    before, after = score_points(change.first), score_points(change.second)
    first, second = change.names
    if not is_run:
        return f"{asked}, {second} scored {after} and {first} {before}"
    moved = f"changed the score from {before} to {after}" if before != after else f"left the score at {before}"
    return f" it never trained on{asked}, tuning {moved}"


def _asked(shots: int) -> str:
    return f" with {counted(shots, 'exemplar')}" if shots else ""
