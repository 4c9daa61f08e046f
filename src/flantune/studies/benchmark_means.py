"""A study's numbers if benchmarks are measured: their averages, from a run's results."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from flantune.errors import EvaluationError, did_you_mean
from flantune.evaluation.estimates import Estimate
from flantune.evaluation.results import BenchmarkResult, Results
from flantune.evaluation.run_samples import BASE, TUNED
from flantune.evaluation.statistics.means import Mean
from flantune.studies.arm_runs import Cell
from flantune.studies.seed_means import TaskMeans
from flantune.studies.study import Arm, Measure


def benchmark_means(
    arm: Arm, seed: int, results: Results, measure: Measure, *, is_alone: bool
) -> tuple[TaskMeans, ...]:
    """What a run's models scored on the benchmarks that a study compares, in every fold.

    Args:
        arm: The arm.
        seed: The run's seed.
        results: What the run measured.
        measure: The benchmarks.
        is_alone: Whether the arm is paired with its own base model, row by row; otherwise differences are computed
            later.

    Raises:
        EvaluationError: A benchmark was not measured, or not with these exemplars.
    """
    names = dict.fromkeys(one.name for one in results.benchmarks)
    found: list[TaskMeans] = []
    for group, name in enumerate(measure.names):
        several = [one for one in results.benchmarks if one.name == name and measure.shots in (None, one.shots)]
        if not several:
            hint = did_you_mean(name, names) or f"it measured: {', '.join(names) or 'none'} ([evaluation] suites)"
            where = f"arm {arm.name}, seed {seed}"
            raise EvaluationError(f'did not measure the benchmark "{name}"', where=where, hint=hint)
        found += [_means(arm, one, group=group, is_alone=is_alone) for one in several]
    return tuple(found)


def against(own: Sequence[TaskMeans], other: Sequence[TaskMeans]) -> Iterator[TaskMeans]:
    """An arm's numbers with its differences from another arm, as for two independent samples.

    Both answered the same rows, so these intervals are wider than necessary.
    """
    for one in own:
        partner = next((two for two in other if two.cell.task == one.cell.task), None)
        yield one if partner is None else replace(one, difference=_difference(partner.score, one.score))


def _difference(first: Mean, second: Mean) -> Mean:
    return Mean(value=second.value - first.value, se=math.hypot(first.se, second.se), df=min(first.df, second.df))


def _means(arm: Arm, result: BenchmarkResult, *, group: int, is_alone: bool) -> TaskMeans:
    headline = result.averages[0]
    model = BASE if arm.reads == "base" else TUNED
    paired = headline.raw.differences.get(TUNED) if is_alone and arm.reads == "tuned" else None
    rows = headline.examples
    return TaskMeans(
        cell=Cell(fold=getattr(result, "fold", ""), task=result.name, cluster="", group=group),
        score=_mean(headline.raw.scores[model], rows),
        base=_mean(headline.raw.scores[BASE], rows),
        difference=None if paired is None else _mean(paired, rows),
        chance=headline.chance,
        metric=result.metric,
        rows=rows,
        rows_sha256=next((one.rows_sha256 for one in result.differences.values()), ""),
        templates=1,
        template_std=None,
    )


def _mean(estimate: Estimate, rows: int) -> Mean:
    return Mean(value=estimate.value, se=estimate.se, df=max(rows - 1.0, 1.0))
