"""From the finished runs of a study to its outcome: numbers over seeds, with intervals that cover seeds and rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from flantune.evaluation.statistics.means import (
    Mean,
    detectable_difference,
    false_discovery_rates,
    interval_of,
    t_interval,
    t_test_p,
)
from flantune.evaluation.statistics.pairs import within
from flantune.evaluation.statistics.seeds import seed_mean
from flantune.studies.outcome import (
    ArmOutcome,
    ClusterChange,
    Cost,
    Lacking,
    SeedDifference,
    SeedScore,
    StudyOutcome,
    StudyVerdict,
    TaskOutcome,
    Trend,
    Written,
)
from flantune.studies.seed_means import ArmMeans, SeedMeans, TaskMeans
from flantune.studies.study import Arm, Study
from flantune.studies.verdict import study_verdict

Value = TypeVar("Value")

_NO_VERDICT = StudyVerdict(text="", direction="undecided", notes=())
_SCORE, _ANY = (0.0, 1.0), (-math.inf, math.inf)


def conclude(
    study: Study,
    found: Mapping[int, SeedMeans],
    *,
    seeds: Sequence[int],
    confidence: float,
    written: Written,
    lacking: Sequence[Lacking] = (),
    costs: Mapping[str, Cost] | None = None,
    labeled_rows: Mapping[str, int] | None = None,
    clusters: Mapping[str, tuple[ClusterChange, ...]] | None = None,
) -> StudyOutcome:
    """The outcome of a study, as a pure function of its arguments.

    Args:
        study: The study.
        found: Seed → its numbers; seeds without finished runs are left out.
        seeds: The seeds that were planned.
        confidence: Level of the intervals.
        written: The plan, written before the first run.
        lacking: Runs that are not finished.
        costs: Arm → the cost of its training.
        labeled_rows: Arm → labeled rows that it learned from, if more is known than from the study.
        clusters: Arm → the change in each cluster.
    """
    arms = [
        _arm(
            study,
            arm,
            {seed: means.arms[arm.name] for seed, means in found.items() if arm.name in means.arms},
            confidence=confidence,
            cost=(costs or {}).get(arm.name),
            labeled_rows=(labeled_rows or {}).get(arm.name, arm.labeled_rows),
        ).model_copy(update={"clusters": (clusters or {}).get(arm.name, ())})
        for arm in study.arms
    ]
    arms = _rated(arms, lambda arm: arm.difference, lambda arm, one: arm.model_copy(update={"difference": one}))
    overall = [(mean, frozenset[str]()) for one in found.values() if (mean := one.overall) is not None]
    outcome = StudyOutcome(
        name=study.name,
        question=study.question,
        axis=study.axis,
        baseline=study.baseline,
        measure=str(study.measure),
        metric=_one({task.metric for one in found.values() for arm in one.arms.values() for task in arm.tasks}),
        figure=study.figure,
        x_scale=study.x_scale,
        equal=study.equal,
        notes=study.notes,
        seeds=tuple(seeds),
        confidence=confidence,
        arms=tuple(arms),
        overall=_difference(overall, shares_rows=_rows_are_shared(found), confidence=confidence),
        trends=tuple(_trends(study, found, confidence=confidence)),
        verdict=_NO_VERDICT,
        written=written,
        lacking=tuple(lacking),
    )
    return outcome.model_copy(update={"verdict": study_verdict(outcome)})


def _one(values: set[str]) -> str:
    return next(iter(values)) if len(values) == 1 else ""


def _arm(
    study: Study, arm: Arm, found: Mapping[int, ArmMeans], *, confidence: float, cost: Cost | None,
    labeled_rows: int | None,
) -> ArmOutcome:  # fmt: skip
    means = list(found.values())
    shares_rows = len({one.rows for one in means}) == 1
    partner = study.partner(arm)
    bases = [one.base for one in means if one.base is not None]
    differences = [(one.difference, one.rows) for one in means if one.difference is not None]
    tasks = [
        _task([task for one in means for task in one.tasks if _place(task) == place], confidence=confidence)
        for place in dict.fromkeys(_place(task) for one in means for task in one.tasks)
    ]
    return ArmOutcome(
        name=arm.name,
        label=arm.label or arm.name,
        series=arm.series,
        x=arm.x,
        reads=arm.reads,
        templates=arm.templates,
        labeled_rows=labeled_rows,
        seeds=tuple(found),
        score=_score([one.score for one in means], shares_rows=shares_rows, confidence=confidence),
        base=_score(bases, shares_rows=shares_rows, confidence=confidence) if len(bases) == len(means) else None,
        chance=within(math.fsum(one.chance for one in means) / len(means)) if means else 0.0,
        paired_with="" if partner is None or partner.name == arm.name else partner.name,
        difference=_difference(differences, shares_rows=shares_rows, confidence=confidence),
        compared=min((one.compared for one in means), default=0),
        tasks=tuple(
            _rated(tasks, lambda one: one.difference, lambda one, rated: one.model_copy(update={"difference": rated}))
        ),
        cost=cost,
    )


def _place(task: TaskMeans) -> tuple[str, str, str]:
    return task.cell.fold, task.cell.task, task.cell.cluster


def _task(found: Sequence[TaskMeans], *, confidence: float) -> TaskOutcome:
    shares_rows = len({one.rows_sha256 for one in found}) == 1
    bases = [one.base for one in found if one.base is not None]
    differences = [(one.difference, frozenset([one.rows_sha256])) for one in found if one.difference is not None]
    spreads = [one.template_std for one in found if one.template_std is not None]
    score = _score([one.score for one in found], shares_rows=shares_rows, confidence=confidence)
    if score is None:
        raise ValueError("a task that was not measured")
    return TaskOutcome(
        name=found[0].cell.task,
        cluster=found[0].cell.cluster,
        score=score,
        base=_score(bases, shares_rows=shares_rows, confidence=confidence) if len(bases) == len(found) else None,
        difference=_difference(differences, shares_rows=shares_rows, confidence=confidence),
        chance=within(_mean([one.chance for one in found])),
        rows=round(_mean([one.rows for one in found])),
        templates=max(one.templates for one in found),
        template_std=_mean(spreads) if spreads else None,
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _score(means: Sequence[Mean], *, shares_rows: bool, confidence: float) -> SeedScore | None:
    """A score over seeds; with one seed its interval only covers rows."""
    if not means:
        return None
    mean = _over_seeds(means, shares_rows=shares_rows)
    interval = interval_of(mean, confidence=confidence, span=_SCORE if 0.0 <= mean.value <= 1.0 else _ANY)
    each = tuple(one.value for one in means)
    return SeedScore(value=mean.value, low=interval.low, high=interval.high, se=mean.se, each=each)


def _difference(
    found: Sequence[tuple[Mean, frozenset[str]]], *, shares_rows: bool, confidence: float
) -> SeedDifference | None:
    """A difference over seeds; with one seed its interval only covers rows."""
    if not found:
        return None
    means = [mean for mean, _ in found]
    mean = _over_seeds(means, shares_rows=shares_rows)
    return seed_difference(
        mean, [one.value for one in means], [one.se for one in means], shares_rows=shares_rows, confidence=confidence
    )


def seed_difference(
    mean: Mean, values: Sequence[float], ses: Sequence[float], *, shares_rows: bool, confidence: float
) -> SeedDifference:
    """A difference over seeds, from its mean and the values of each seed."""
    interval = t_interval(mean, confidence=confidence, span=_ANY)
    return SeedDifference(
        value=mean.value,
        low=interval.low,
        high=interval.high,
        se=mean.se,
        p=t_test_p(mean),
        detectable=detectable_difference(mean, confidence=confidence),
        each=tuple(values),
        row_se=math.sqrt(_mean([se**2 for se in ses])),
        shares_rows=shares_rows and len(values) > 1,
        q=None,
    )


def _over_seeds(means: Sequence[Mean], *, shares_rows: bool) -> Mean:
    if len(means) == 1:
        return means[0]
    return seed_mean([one.value for one in means], [one.se for one in means], shares_rows=shares_rows)


def _trends(study: Study, found: Mapping[int, SeedMeans], *, confidence: float) -> Iterable[Trend]:
    for series in dict.fromkeys(arm.series for arm in study.arms):
        slopes = [(mean, frozenset[str]()) for one in found.values() if (mean := one.slopes.get(series)) is not None]
        slope = _difference(slopes, shares_rows=_rows_are_shared(found), confidence=confidence)
        if slope is not None:
            names = tuple(arm.name for arm in study.arms if arm.series == series and arm.x is not None)
            yield Trend(series=series, slope=slope, arms=names)


def _rows_are_shared(found: Mapping[int, SeedMeans]) -> bool:
    return len({frozenset(row for arm in one.arms.values() for row in arm.rows) for one in found.values()}) == 1


def _rated(
    values: Sequence[Value],
    difference: Callable[[Value], SeedDifference | None],
    replaced: Callable[[Value, SeedDifference], Value],
) -> list[Value]:
    """The values with the false discovery rates of their differences, if there are several."""
    tested = [(at, one) for at, value in enumerate(values) if (one := difference(value)) is not None]
    found = list(values)
    if len(tested) > 1:
        for (at, one), rate in zip(tested, false_discovery_rates([one.p for _, one in tested]), strict=True):
            found[at] = replaced(found[at], one.model_copy(update={"q": rate}))
    return found
