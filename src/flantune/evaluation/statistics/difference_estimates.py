"""A paired difference as results have it, whatever was measured: scores, areas, shares."""

from __future__ import annotations

from flantune.evaluation.run_results import Difference
from flantune.evaluation.statistics.means import Mean, detectable_difference, t_interval, t_test_p


def difference_estimate(mean: Mean, *, confidence: float, span: tuple[float, float]) -> Difference:
    """A difference with its interval, its p-value, and the smallest one it could have detected.

    The interval excludes zero exactly when the p-value is below 1 − ``confidence``: both are Student's.
    """
    interval = t_interval(mean, confidence=confidence, span=span)
    return Difference(
        value=mean.value,
        low=interval.low,
        high=interval.high,
        se=mean.se,
        p=t_test_p(mean),
        detectable=detectable_difference(mean, confidence=confidence),
    )
