"""The change in each held-out cluster of an arm: the score, and skill apart from a preference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from flantune.evaluation.estimates import Difference
from flantune.evaluation.results import Contrast, Means, Results
from flantune.evaluation.statistics.means import false_discovery_rates
from flantune.evaluation.statistics.seeds import seed_mean
from flantune.studies.conclude import seed_difference
from flantune.studies.outcome import ChangeMeasure, ClusterChange, SeedDifference

MEASURES: tuple[ChangeMeasure, ...] = ("raw", "discrimination", "calibrated_accuracy")

_TUNED = "tuned"


def cluster_changes(results: Sequence[Results], *, shots: int | None) -> tuple[ClusterChange, ...]:
    """The tuned model compared with the base model of the same runs, on the mean over clusters and on each of them.

    Args:
        results: The scores of an arm's finished runs, one per seed.
        shots: Exemplars before each question; None: the first number that was measured.

    Returns:
        For each measure the mean over clusters, whose name is empty, then the clusters that all runs measured.
    """
    if not results:
        return ()
    found = [dict(_means(one, shots)) for one in results]
    places = [place for place in found[0] if all(place in one for one in found)]
    shares_rows = len({_rows(one) for one in results}) == 1
    changes: list[ClusterChange] = []
    for measure in MEASURES:
        made: list[ClusterChange] = []
        for place in places:
            each = [contrast for one in found if (contrast := one[place].of(measure)) is not None]
            if len(each) == len(found):
                made.append(_change(measure, place, each, confidence=results[0].confidence, shares_rows=shares_rows))
        changes += _rated(made)
    return tuple(changes)


def _means(results: Results, shots: int | None) -> Iterator[tuple[tuple[str, str], Means]]:
    """Fold and cluster → the means; for the mean over all, both are empty."""
    wanted = next((one.shots for one in results.overall), 0) if shots is None else shots
    for overall in results.overall:
        if overall.shots == wanted:
            yield ("", ""), overall
    for cluster in results.clusters:
        if cluster.shots == wanted:
            yield (cluster.fold, cluster.cluster), cluster


def _rows(results: Results) -> tuple[str, ...]:
    return tuple(one.differences[_TUNED].rows_sha256 for one in results.tasks if _TUNED in one.differences)


def _change(
    measure: ChangeMeasure,
    place: tuple[str, str],
    each: Sequence[Contrast],
    *,
    confidence: float,
    shares_rows: bool,
) -> ClusterChange:
    def mean(model: str) -> float:
        return math.fsum(one.scores[model].value for one in each) / len(each)

    base, *_ = each[0].scores
    found = [one.differences[_TUNED] for one in each]
    return ClusterChange(
        measure=measure,
        cluster=place[1],
        exams=each[0].exams,
        base=mean(base),
        tuned=mean(_TUNED),
        difference=_difference(found, confidence=confidence, shares_rows=shares_rows),
    )


def _difference(found: Sequence[Difference], *, confidence: float, shares_rows: bool) -> SeedDifference:
    """The difference over seeds; with one seed its interval only covers rows."""
    values, ses = tuple(one.value for one in found), [one.se for one in found]
    row_se = math.sqrt(math.fsum(se**2 for se in ses) / len(ses))
    if len(found) == 1:
        return SeedDifference(**found[0].model_dump(), each=values, row_se=row_se, shares_rows=False, q=None)
    mean = seed_mean(values, ses, shares_rows=shares_rows)
    return seed_difference(mean, values, ses, shares_rows=shares_rows, confidence=confidence)


def _rated(changes: Sequence[ClusterChange]) -> list[ClusterChange]:
    """The changes, with each cluster's false discovery rate among the clusters, if there are several."""
    clusters = [one for one in changes if one.cluster]
    if len(clusters) < 2:
        return list(changes)
    rates = iter(false_discovery_rates([one.difference.p for one in clusters]))
    return [
        one.model_copy(update={"difference": one.difference.model_copy(update={"q": next(rates)})})
        if one.cluster
        else one
        for one in changes
    ]
