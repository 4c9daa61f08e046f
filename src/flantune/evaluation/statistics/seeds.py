"""Several runs that differ in their seed, as one result: the seed is a random effect.

One run shows the effect of tuning on one model; another seed would give another model. Over several, the spread of the
differences shows how much of a gain is chance, and the interval around their mean covers seeds as well as rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from flantune.errors import EvaluationError
from flantune.evaluation.estimates import Difference, PairedDifference
from flantune.evaluation.exam_result import ExamResult
from flantune.evaluation.results import BenchmarkResult, Means, Results
from flantune.evaluation.statistics.intervals import t_quantile
from flantune.evaluation.statistics.means import Mean, detectable_difference, t_interval, t_test_p
from flantune.evaluation.statistics.skill_scores import SKILL_MEASURES, SkillMeasure

SeedMeasure = Literal["raw"] | SkillMeasure

_ANY = (-math.inf, math.inf)
_USUAL = 0.95
_MANY = 1e9
_WHERE = "several seeds"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedEffect:
    """A difference, tuned minus base, over several seeds.

    Attributes:
        name: The task, the cluster, or "all clusters".
        level: "task", "cluster" or "overall".
        fold: The fold that held it out; empty for the overall difference.
        shots: Exemplars before each query.
        each: The difference of every run, in their order.
        value: Their mean.
        low: Lower end of its interval, which covers other seeds and other rows.
        high: Upper end.
        se: Its standard error.
        p: Two-sided p-value of no difference.
        detectable: Smallest true difference that would be detected with 80% power.
        std: Standard deviation of the runs' differences (n − 1).
        row_se: Root mean square of the runs' own standard errors, which cover rows only.
        shares_rows: All runs measured the same rows, so that more seeds do not compensate for too few rows.
        measure: "raw" for the score; "discrimination" and "calibrated_accuracy" for skill apart from a preference.
    """

    name: str
    level: str
    fold: str
    shots: int
    each: tuple[float, ...]
    value: float
    low: float
    high: float
    se: float
    p: float
    detectable: float
    std: float
    row_se: float
    shares_rows: bool
    measure: str = "raw"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSummary:
    """All differences over several seeds.

    Attributes:
        seeds: The runs' seeds, in order; for evaluations, the models that were compared with the first.
        confidence: Level of the intervals.
        effects: Overall, then clusters, then unseen tasks; for raw scores, then for each measure of skill.
    """

    seeds: tuple[int | str, ...]
    confidence: float
    effects: tuple[SeedEffect, ...] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def over_seeds(results: Sequence[Results]) -> SeedSummary:
    """The differences of several runs of one run file, with intervals that cover other seeds too.

    What was not measured in every run is left out. Evaluations (``flantune evaluate``) of models tuned with several
    seeds work too: every model that was compared with the first is one seed.

    Raises:
        EvaluationError: Fewer than two runs, two with the same seed, or runs scored in different ways.
    """
    compared = [(one, model) for one in results for model in one.names[1:]]
    if all(one.kind == "run" for one in results):
        _check_runs(results)
        seeds: tuple[int | str, ...] = tuple(one.seed for one in results)
    else:
        _check_evaluations(results, compared)
        seeds = tuple(model for _, model in compared)
    each = [dict(_differences(one, model)) for one, model in compared]
    confidence = results[0].confidence
    effects = (
        _effect(key, [found[key] for found in each], confidence)
        for key in each[0]
        if all(key in found for found in each)
    )
    return SeedSummary(seeds=seeds, confidence=confidence, effects=tuple(effects))


class _Key(NamedTuple):
    """What was measured, and how."""

    measure: SeedMeasure
    level: str
    name: str
    fold: str
    shots: int


@dataclass(frozen=True, slots=True)
class _Observed:
    """One run's difference, and the rows it was measured on."""

    difference: Difference
    rows: frozenset[str]


def _effect(key: _Key, observed: Sequence[_Observed], confidence: float) -> SeedEffect:
    values, ses = [one.difference.value for one in observed], [one.difference.se for one in observed]
    shares_rows = _is_one({one.rows for one in observed})
    mean = seed_mean(values, ses, shares_rows=shares_rows)
    interval = t_interval(mean, confidence=confidence, span=_ANY)
    return SeedEffect(
        name=key.name,
        level=key.level,
        fold=key.fold,
        shots=key.shots,
        each=tuple(values),
        value=mean.value,
        low=interval.low,
        high=interval.high,
        se=mean.se,
        p=t_test_p(mean),
        detectable=detectable_difference(mean, confidence=confidence),
        std=float(np.std(values, ddof=1)),
        row_se=math.sqrt(math.fsum(se**2 for se in ses) / len(observed)),
        shares_rows=shares_rows,
        measure=key.measure,
    )


def seed_mean(values: Sequence[float], ses: Sequence[float], *, shares_rows: bool) -> Mean:
    """The mean over seeds, with a standard error that covers both seeds and rows.

    If each seed draws its own rows, they contribute to the spread between runs, and the mean's variance is that spread
    divided by the number of runs; but its 95% interval is never narrower than the rows require, however well a few runs
    happen to agree. If all runs have the same rows, they share the sampling error, whose variance is added. That is
    slightly conservative, since part of it also shows in the spread.

    Args:
        values: One difference per run.
        ses: Their standard errors, which cover rows only.
        shares_rows: All runs measured the same rows.

    >>> apart = seed_mean([0.1, 0.2, 0.3], [0.03] * 3, shares_rows=False)
    >>> together = seed_mean([0.1, 0.2, 0.3], [0.03] * 3, shares_rows=True)
    >>> round(apart.value, 3), round(apart.se, 4), apart.df, round(together.se, 4)
    (0.2, 0.0577, 2.0, 0.0651)
    >>> round(seed_mean([0.2, 0.2001, 0.2], [0.03] * 3, shares_rows=False).se, 4)
    0.0173
    """
    count = len(values)
    seeds = float(np.var(values, ddof=1)) / count
    rows = math.fsum(se**2 for se in ses) / count if shares_rows else 0.0
    alone = math.sqrt(math.fsum(se**2 for se in ses)) / count
    spread = t_quantile(_USUAL, count - 1) * math.sqrt(seeds)
    if not shares_rows and 0.0 < spread < t_quantile(_USUAL, _MANY) * alone:
        return Mean(value=math.fsum(values) / count, se=alone, df=_MANY)
    # Welch and Satterthwaite; the rows have many degrees of freedom.
    df = (count - 1) * ((seeds + rows) / seeds) ** 2 if seeds > 0.0 else _MANY
    spread = math.sqrt(seeds + rows)
    if spread <= 0.0:
        spread, df = math.sqrt(math.fsum(se**2 for se in ses) / count), _MANY
    return Mean(value=math.fsum(values) / count, se=spread, df=df)


def _differences(results: Results, model: str) -> Iterator[tuple[_Key, _Observed]]:
    """All differences of one model from the first: for each measure overall, clusters, tasks and benchmarks."""
    rows: dict[str, set[str]] = {}
    for one in results.tasks:
        rows.setdefault(one.name, set()).add(f"{one.name} {one.differences[model].rows_sha256}")
    unseen = tuple(dict.fromkeys(one.name for one in results.tasks if not one.is_seen))

    def observed(means: Means, measure: SeedMeasure, exams: Iterable[str] | None = None) -> Iterator[_Observed]:
        found = means.of(measure)
        if found is not None and model in found.differences:
            names = found.exams if exams is None else exams
            yield _Observed(found.differences[model], frozenset[str]().union(*(rows.get(name, ()) for name in names)))

    for measure in _MEASURES:
        for overall in results.overall:
            for found in observed(overall, measure, unseen):
                yield _Key(measure, "overall", "all clusters", "", overall.shots), found
        yield from _averages(results, model) if measure == "raw" else ()
        for cluster in results.clusters:
            for found in observed(cluster, measure):
                yield _Key(measure, "cluster", cluster.cluster, cluster.fold, cluster.shots), found
        yield from _asked(results, model, measure)


_MEASURES: tuple[SeedMeasure, ...] = ("raw", *SKILL_MEASURES)


def _averages(results: Results, model: str) -> Iterator[tuple[_Key, _Observed]]:
    """Averages over benchmarks."""
    for one in results.normalized_averages:
        if model in one.differences:
            shots = max(benchmark.shots for benchmark in results.benchmarks if benchmark.name in one.benchmarks)
            yield (
                _Key("raw", "overall", one.name, "", shots),
                _Observed(one.differences[model], frozenset([one.differences[model].rows_sha256])),
            )


def _asked(results: Results, model: str, measure: SeedMeasure) -> Iterator[tuple[_Key, _Observed]]:
    """Benchmarks and tasks; for a run only unseen ones, if it has any."""
    unseen = tuple(one for one in results.tasks if not one.is_seen)
    tasks = unseen if results.kind == "run" and unseen else results.tasks
    asked: list[tuple[ExamResult | BenchmarkResult, str]] = [(one, one.fold) for one in results.benchmarks]
    for one, fold in (*asked, *((task, task.fold) for task in tasks)):
        paired = one.differences[model]
        found = paired if measure == "raw" else _skill(paired, measure)
        if found is not None:
            yield _Key(measure, "task", one.name, fold, one.shots), _Observed(found, frozenset([paired.rows_sha256]))


def _skill(paired: PairedDifference, measure: SkillMeasure) -> Difference | None:
    """The difference in a measure of skill, if defined."""
    if paired.skill is None:
        return None
    return paired.skill.discrimination if measure == "discrimination" else paired.skill.calibrated_accuracy


def _is_one(values: Iterable[object]) -> bool:
    return len(set(values)) == 1


def _check_evaluations(results: Sequence[Results], compared: Sequence[tuple[Results, str]]) -> None:
    if not all(one.kind == "evaluation" for one in results):
        hint = "give folders of one kind"
        raise EvaluationError("runs and evaluations cannot be combined", where=_WHERE, hint=hint)
    if len(compared) < 2:
        hint = "evaluate the base model and two tuned ones or more, better five, together or one by one"
        raise EvaluationError("one comparison has no spread", where=_WHERE, hint=hint)
    models = [(model.fingerprint, one.seed) for one in results for model in one.models[1:]]
    if len(set(models)) < len(models):
        hint = "give every model once; models tuned with other seeds have other weights"
        raise EvaluationError("two of the models have the same weights", where=_WHERE, hint=hint)
    if not _is_one(one.models[0].fingerprint for one in results):
        hint = "name the same base model first in each evaluation"
        raise EvaluationError("the models were compared with different ones", where=_WHERE, hint=hint)
    for key in ("confidence", "limit", "protocols"):
        if not _is_one(repr(getattr(one, key)) for one in results):
            hint = "evaluate them with the same options"
            raise EvaluationError(f"the evaluations are not alike: {key} differs", where=_WHERE, hint=hint)


def _check_runs(results: Sequence[Results]) -> None:
    if len(results) < 2:
        raise EvaluationError("one run has no spread", where=_WHERE, hint="give two runs or more, better five")
    seeds = [one.seed for one in results]
    if len(set(seeds)) < len(seeds):
        hint = "give every run its own seed"
        raise EvaluationError(f"two runs have the same seed: {', '.join(map(str, seeds))}", where=_WHERE, hint=hint)
    protocols = [next(iter(one.protocols.values())) for one in results]
    scored = [
        {
            "normalization": protocol["normalization"],
            "confidence": one.confidence,
            "answer_parsing": one.answer_parsing,
        }
        for one, protocol in zip(results, protocols, strict=True)
    ]
    for key, value in scored[0].items():
        if found := _several([one[key] for one in scored]):
            how = f" --{key} {value}" if key != "answer_parsing" else ""
            hint = f"score them alike with `flantune rescore RUN{how}`"
            raise EvaluationError(f"the runs were not scored alike: {key} is {found}", where=_WHERE, hint=hint)
    for key in dict.fromkeys(key for one in protocols for key in one if key != "fingerprint"):
        if found := _several([one.get(key) for one in protocols]):
            hint = "measure them with the same run file"
            raise EvaluationError(f"the runs were not asked alike: protocol.{key} is {found}", where=_WHERE, hint=hint)


def _several(values: Sequence[object]) -> str:
    """The values that differ, in words; empty if all are equal."""
    found = dict.fromkeys(map(repr, values))
    return " in some and ".join(found) + " in others" if len(found) > 1 else ""
