"""Several runs that differ in their seed, as one result: the seed is a random effect.

One run says what tuning did to one model; another seed would have made another model. Over several, the spread of the
differences shows how much of a gain is luck of the draw, and the interval around their mean covers seeds as well as
rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from flantune.errors import EvaluationError
from flantune.evaluation.statistics.means import Mean, detectable_difference, t_interval, t_test_p
from flantune.evaluation.statistics.skill_scores import SKILL_MEASURES

_Key = tuple[str, str, int]
_ANY = (-math.inf, math.inf)
_MANY = 1e9
_WHERE = "several seeds"

RAW = "raw"
"""The measure of scores as they are, beside those of skill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedEffect:
    """A difference, tuned minus base, over several seeds.

    Attributes:
        name: The task, the cluster, or "all clusters".
        level: "task", "cluster" or "overall".
        fold: The fold that held it out; empty for the whole.
        shots: Exemplars before each query.
        each: The difference of every run, in their order.
        value: Their mean.
        low: Lower end of its interval, which covers other seeds and other rows.
        high: Upper end.
        se: Its standard error.
        p: Two-sided p-value of no difference.
        detectable: Smallest true difference that would have been found four times in five.
        std: Standard deviation of the runs' differences (n − 1).
        row_se: Root mean square of the runs' own standard errors, which know of rows alone.
        shares_rows: All runs measured the same rows, so that more seeds do not make up for too few rows.
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
        seeds: The runs' seeds, in order; of evaluations the models that were compared with the first.
        confidence: Level of the intervals.
        effects: The whole, then clusters, then unseen tasks; of raw scores, then of each measure of skill.
    """

    seeds: tuple[int | str, ...]
    confidence: float
    effects: tuple[SeedEffect, ...] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def over_seeds(results: Sequence[Mapping[str, Any]]) -> SeedSummary:
    """The differences of several runs of one run file, with intervals that hold for other seeds too.

    What was not measured in every run is left out. Evaluations (``flantune evaluate``) of models tuned with several
    seeds will do as well: every model that was compared with the first is one seed.

    Args:
        results: Their ``results.json``, in any order.

    Raises:
        EvaluationError: Fewer than two runs, two with the same seed, or runs scored in different ways.
    """
    try:
        if any(one.get("kind") == "evaluation" for one in results):
            return _over_evaluations(results)
        _check(results)
        return _summary(results, _LEVELS, seeds=tuple(int(one["seed"]) for one in results))
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        hint = "write them again: `flantune rescore RUN`, or the evaluation's own command"
        what = f"some results are not what flantune writes: {type(error).__name__} {error}"
        raise EvaluationError(what, where=_WHERE, hint=hint) from None


def _over_evaluations(results: Sequence[Mapping[str, Any]]) -> SeedSummary:
    if not all(one.get("kind") == "evaluation" for one in results):
        hint = "give folders of one kind"
        raise EvaluationError("runs and evaluations cannot be put together", where=_WHERE, hint=hint)
    models = [(one, model) for one in results for model in one["models"][1:]]
    each = [
        {**one, "comparisons": [c for c in one["comparisons"] if c["second"] == model["name"]]} for one, model in models
    ]
    _check_evaluations(each, [(model["fingerprint"], one["seed"]) for one, model in models])
    return _summary(each, _EVALUATION_LEVELS, seeds=tuple(model["name"] for _, model in models))


def _summary(results: Sequence[Mapping[str, Any]], levels: _Levels, *, seeds: tuple[int | str, ...]) -> SeedSummary:
    confidence = float(results[0]["confidence"])
    effects = [
        _effect(level, measure, key, [found[key] for found in each], confidence)
        for (measure, level), read in levels.items()
        for each in [[read(one) for one in results]]
        for key in each[0]
        if all(key in found for found in each)
    ]
    return SeedSummary(seeds=seeds, confidence=confidence, effects=tuple(effects))


@dataclass(frozen=True, slots=True)
class _Observed:
    """One run's difference: its value, its standard error, and the rows it was measured on."""

    value: float
    se: float
    rows: frozenset[str]


def _effect(level: str, measure: str, key: _Key, observed: Sequence[_Observed], confidence: float) -> SeedEffect:
    name, fold, shots = key
    values = [one.value for one in observed]
    mean = seed_mean(values, [one.se for one in observed], shares_rows=_is_one({one.rows for one in observed}))
    interval = t_interval(mean, confidence=confidence, span=_ANY)
    return SeedEffect(
        name=name,
        level=level,
        fold=fold,
        shots=shots,
        each=tuple(values),
        value=mean.value,
        low=interval.low,
        high=interval.high,
        se=mean.se,
        p=t_test_p(mean),
        detectable=detectable_difference(mean, confidence=confidence),
        std=float(np.std(values, ddof=1)),
        row_se=math.sqrt(math.fsum(one.se**2 for one in observed) / len(observed)),
        shares_rows=_is_one({one.rows for one in observed}),
        measure=measure,
    )


def seed_mean(values: Sequence[float], ses: Sequence[float], *, shares_rows: bool) -> Mean:
    """The mean over seeds, with a standard error that knows of both seeds and rows.

    Rows drawn anew for each seed are part of the spread between runs, and the mean's variance is that spread over the
    number of runs. The same rows in all runs err together: their variance is added whole. That is a little more than
    needed, since some of it shows in the spread as well.

    Args:
        values: One difference a run.
        ses: Their standard errors, which know of rows alone.
        shares_rows: All runs measured the same rows.

    >>> apart = seed_mean([0.1, 0.2, 0.3], [0.03] * 3, shares_rows=False)
    >>> together = seed_mean([0.1, 0.2, 0.3], [0.03] * 3, shares_rows=True)
    >>> round(apart.value, 3), round(apart.se, 4), apart.df, round(together.se, 4)
    (0.2, 0.0577, 2.0, 0.0651)
    """
    count = len(values)
    seeds = float(np.var(values, ddof=1)) / count
    rows = math.fsum(se**2 for se in ses) / count if shares_rows else 0.0
    # Welch and Satterthwaite, the rows' own degrees of freedom being many.
    df = (count - 1) * ((seeds + rows) / seeds) ** 2 if seeds > 0.0 else _MANY
    spread = math.sqrt(seeds + rows)
    if spread <= 0.0:
        spread, df = math.sqrt(math.fsum(se**2 for se in ses) / count), _MANY
    return Mean(value=math.fsum(values) / count, se=spread, df=df)


def _overall(results: Mapping[str, Any], measure: str) -> dict[_Key, _Observed]:
    rows = _rows(results, {task["task"] for task in results["tasks"] if not task["is_seen"]})
    return {
        ("all clusters", "", one["shots"]): _observed(one["difference"], rows)
        for one in results["overall"]
        if one["measure"] == measure
    }


def _clusters(results: Mapping[str, Any], measure: str) -> dict[_Key, _Observed]:
    return {
        (one["cluster"], one["fold"], one["shots"]): _observed(
            found["difference"], _rows(results, set(found.get("tasks", one["tasks"])))
        )
        for one in results["clusters"]
        for found in [one if measure == RAW else one.get(measure)]
        if found
    }


def _tasks(results: Mapping[str, Any], measure: str) -> dict[_Key, _Observed]:
    return {
        (one["task"], one["fold"], one["shots"]): _observed(difference, frozenset([one["rows_sha256"]]))
        for one in results["tasks"]
        for difference in [_difference(one, measure)]
        if difference and not one["is_seen"]
    }


def _difference(one: Mapping[str, Any], measure: str) -> Mapping[str, Any] | None:
    """The difference of the score, or of a measure of skill where it is defined."""
    return one["difference"] if measure == RAW else (one.get("skill") or {}).get(measure)


def _averages(results: Mapping[str, Any], measure: str) -> dict[_Key, _Observed]:
    return {key: found for key, found in _compared(results, measure).items() if key[0] == "flan2022"}


def _benchmarks(results: Mapping[str, Any], measure: str) -> dict[_Key, _Observed]:
    return {key: found for key, found in _compared(results, measure).items() if key[0] != "flan2022"}


def _compared(results: Mapping[str, Any], measure: str) -> dict[_Key, _Observed]:
    return {
        (one["score"], "", one["shots"]): _observed(difference, frozenset([one["questions_sha256"]]))
        for one in results["comparisons"]
        for difference in [_difference(one, measure)]
        if difference
    }


_Reader = Callable[[Mapping[str, Any]], dict[_Key, _Observed]]


def _of_measures(levels: Mapping[str, Callable[[Mapping[str, Any], str], dict[_Key, _Observed]]]) -> _Levels:
    def reader(read: Callable[[Mapping[str, Any], str], dict[_Key, _Observed]], measure: str) -> _Reader:
        return lambda results: read(results, measure)

    return {
        (measure, level): reader(read, measure) for measure in (RAW, *SKILL_MEASURES) for level, read in levels.items()
    }


_Levels = Mapping[tuple[str, str], _Reader]
"""Measure and level → where its differences stand in results."""

_LEVELS: _Levels = _of_measures({"overall": _overall, "cluster": _clusters, "task": _tasks})
_EVALUATION_LEVELS: _Levels = _of_measures({"overall": _averages, "task": _benchmarks})


def _rows(results: Mapping[str, Any], tasks: Collection[str]) -> frozenset[str]:
    """Which rows of which tasks were measured."""
    return frozenset(f"{one['task']} {one['rows_sha256']}" for one in results["tasks"] if one["task"] in tasks)


def _observed(difference: Mapping[str, Any], rows: frozenset[str]) -> _Observed:
    return _Observed(float(difference["value"]), float(difference["se"]), rows)


def _is_one(values: Iterable[object]) -> bool:
    return len(set(values)) == 1


def _check_evaluations(results: Sequence[Mapping[str, Any]], models: Sequence[tuple[str, int]]) -> None:
    if len(results) < 2:
        hint = "evaluate the base model and two tuned ones or more, better five, together or one by one"
        raise EvaluationError("one comparison has no spread", where=_WHERE, hint=hint)
    if len(set(models)) < len(models):
        hint = "give every model once; models tuned with other seeds have other weights"
        raise EvaluationError("two of the models have the same weights", where=_WHERE, hint=hint)
    if not _is_one(one["models"][0]["fingerprint"] for one in results):
        hint = "name the same base model first in each evaluation"
        raise EvaluationError("the models were compared with different ones", where=_WHERE, hint=hint)
    for key in ("confidence", "limit", "protocols"):
        if not _is_one(repr(one[key]) for one in results):
            hint = "evaluate them with the same options"
            raise EvaluationError(f"the evaluations are not alike: {key} differs", where=_WHERE, hint=hint)


def _several(values: Sequence[object]) -> str:
    """The values that differ, in words; empty when all are the same."""
    found = dict.fromkeys(map(repr, values))
    return " in some and ".join(found) + " in others" if len(found) > 1 else ""


def _check(results: Sequence[Mapping[str, Any]]) -> None:
    where = _WHERE
    if len(results) < 2:
        raise EvaluationError("one run has no spread", where=where, hint="give two runs or more, better five")
    if any(one.get("schema") != results[0].get("schema") or "protocol" not in one for one in results):
        hint = "bring them up to date with `flantune rescore RUN`"
        raise EvaluationError("some results are of an older version", where=where, hint=hint)
    seeds = [one["seed"] for one in results]
    if len(set(seeds)) < len(seeds):
        hint = "give every run its own seed"
        raise EvaluationError(f"two runs have the same seed: {', '.join(map(str, seeds))}", where=where, hint=hint)
    for key in ("normalization", "confidence", "answer_parsing"):
        if found := _several([one[key] for one in results]):
            how = f" --{key} {results[0][key]}" if key != "answer_parsing" else ""
            hint = f"score them alike with `flantune rescore RUN{how}`"
            raise EvaluationError(f"the runs were not scored alike: {key} is {found}", where=where, hint=hint)
    choices = {key: key for one in results for key in one["protocol"] if key != "fingerprint"}
    for key in choices:
        if found := _several([one["protocol"].get(key) for one in results]):
            hint = "measure them with the same run file"
            raise EvaluationError(f"the runs were not asked alike: protocol.{key} is {found}", where=where, hint=hint)
