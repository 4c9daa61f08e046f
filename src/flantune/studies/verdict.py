"""The one-sentence conclusion of a study, symmetric between "better" and "worse"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flantune.evaluation.estimates import Direction
from flantune.evaluation.points import counted, score_points, signed_points
from flantune.studies.outcome import ArmOutcome, SeedDifference, StudyOutcome, StudyVerdict, Trend

if TYPE_CHECKING:
    from flantune.evaluation.estimates import Difference

_MOST_FALSE = 0.05
"""Arms count as better or worse if their false discovery rate is at most this."""


def study_verdict(outcome: StudyOutcome) -> StudyVerdict:
    """The conclusion: the mean if each arm is paired with its own base model, else the trend, or which arms differ."""
    paired = [arm for arm in outcome.arms if arm.difference is not None]
    if not paired:
        text = "No two arms were measured on the same rows, so nothing can be said of their difference: undecided."
        return StudyVerdict(text=text, direction="undecided", notes=tuple(_notes(outcome)))
    if outcome.overall is not None:
        text, direction = _overall(outcome, outcome.overall, paired)
    elif len(outcome.trends) == 1:
        text, direction = _trend(outcome, outcome.trends[0])
    else:
        text, direction = _arms(outcome, paired)
    return StudyVerdict(text=text, direction=direction, notes=tuple(_notes(outcome)))


def _overall(outcome: StudyOutcome, overall: SeedDifference, paired: Sequence[ArmOutcome]) -> tuple[str, Direction]:
    better, worse = _counts(paired)
    apart = f"; of the arms, {better} better and {worse} worse by themselves" if len(paired) > 1 else ""
    over = f"Over {counted(len(paired), 'arm')}" if len(paired) > 1 else f"In the arm “{paired[0].name}”"
    text = (
        f"{over} and {_seeds(outcome)}, tuning changed the score by {_points(overall)} points"
        f" ({_interval(outcome, overall)}): {overall.direction}{apart}."
    )
    return text, overall.direction


def _trend(outcome: StudyOutcome, trend: Trend) -> tuple[str, Direction]:
    unit = "every doubling of" if outcome.x_scale == "log" else "every step of one in"
    scores = [(arm.name, arm.score.value) for arm in outcome.arms if arm.name in trend.arms and arm.score is not None]
    first, last = scores[0], scores[-1]
    direction = trend.slope.direction
    text = (
        f"From “{first[0]}” ({score_points(first[1])}) to “{last[0]}” ({score_points(last[1])}), over"
        f" {_seeds(outcome)}, {unit} {outcome.axis} changed the score by {_points(trend.slope)} points"
        f" ({_interval(outcome, trend.slope)}): {direction}."
    )
    return text, direction


def _arms(outcome: StudyOutcome, paired: Sequence[ArmOutcome]) -> tuple[str, Direction]:
    """A sentence for each arm that others are paired with, or one if each is paired with its own base model."""
    groups: dict[str, list[ArmOutcome]] = {}
    for arm in paired:
        groups.setdefault(arm.paired_with if outcome.baseline else "", []).append(arm)
    text = " ".join(_group(outcome, against, arms) for against, arms in groups.items())
    return text, _direction(*_counts(paired))


def _group(outcome: StudyOutcome, against: str, arms: Sequence[ArmOutcome]) -> str:
    better, worse = _counts(arms)
    far = max(arms, key=lambda arm: abs(arm.difference.value) if arm.difference else 0.0)
    if far.difference is None:
        raise ValueError("an arm that is paired with nothing")
    what = f"“{against}”" if against else "its own base model"
    points = f"{_points(far.difference)} points ({_interval(outcome, far.difference)})"
    if len(arms) == 1:
        direction = _direction(better, worse)
        return f"Against {what}, over {_seeds(outcome)}, “{far.name}” changed the score by {points}: {direction}."
    undecided = len(arms) - better - worse
    return (
        f"Against {what}, over {_seeds(outcome)}, {better} of {counted(len(arms), 'arm')}"
        f" {'is' if better == 1 else 'are'} better, {worse} worse and {undecided} undecided; furthest from it is"
        f" “{far.name}”, by {points}."
    )


def _direction(better: int, worse: int) -> Direction:
    return "better" if better and not worse else "worse" if worse and not better else "undecided"


def _counts(paired: Sequence[ArmOutcome]) -> tuple[int, int]:
    """How many arms are better and worse, corrected for the number of comparisons."""
    sure = [one for arm in paired if (one := arm.difference) is not None and _is_sure(one)]
    return sum(one.value > 0 for one in sure), sum(one.value < 0 for one in sure)


def _is_sure(difference: SeedDifference) -> bool:
    if difference.q is not None:
        return difference.q <= _MOST_FALSE
    return difference.direction != "undecided"


def _seeds(outcome: StudyOutcome) -> str:
    return counted(max((len(arm.seeds) for arm in outcome.arms), default=0), "seed")


def _points(difference: Difference) -> str:
    return signed_points(difference.value)


def _interval(outcome: StudyOutcome, difference: Difference) -> str:
    low, high = signed_points(difference.low), signed_points(difference.high)
    return f"{100 * outcome.confidence:g}% interval {low} to {high}, smallest detectable ±{_size(difference)}"


def _size(difference: Difference) -> str:
    return score_points(difference.detectable)


def _notes(outcome: StudyOutcome) -> Iterator[str]:
    seeds = {len(arm.seeds) for arm in outcome.arms}
    if max(seeds, default=0) == 1:
        yield "One seed: the intervals cover other rows, not other seeds; `--seeds 3` would."
    if outcome.lacking:
        are = "is" if len(outcome.lacking) == 1 else "are"
        yield f"{counted(len(outcome.lacking), 'run')} {are} not finished; the numbers are of the others."
    for arm in outcome.arms:
        if arm.difference is not None and arm.compared < len({task.name for task in arm.tasks}):
            yield f"“{arm.name}” is compared on {counted(arm.compared, 'task')}, which both measured."
    if outcome.written.changed:
        yield f"The runs deviate from the recorded plan: {counted(len(outcome.written.changed), 'change')}."
