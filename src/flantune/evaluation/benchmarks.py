"""Benchmarks from their parts: averaged in every way, compared, and combined into averages over benchmarks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flantune.evaluation.clean_scores import CleanPart, clean_scores
from flantune.evaluation.estimates import CleanScores, Difference, Estimate, PairedDifference
from flantune.evaluation.exam_result import ExamResult
from flantune.evaluation.group_gaps import Gap
from flantune.evaluation.means_over import WeightedExam, contrast_of, means_over
from flantune.evaluation.metrics.graders import MetricColumn
from flantune.evaluation.metrics.rank_classification import NORMALIZATIONS
from flantune.evaluation.results import Average, BenchmarkResult, BenchmarkScores, Means, NormalizedAverage
from flantune.evaluation.scored import ScoredExam, paired_difference
from flantune.evaluation.statistics.averages import Weighed, Weighting
from flantune.evaluation.statistics.contrasts import Weighted, mean_of
from flantune.evaluation.statistics.discovery_rates import with_rates
from flantune.evaluation.statistics.gaps import gap_result, mean_gap, with_gap_rates
from flantune.evaluation.statistics.means import Mean, Share, combine
from flantune.evaluation.statistics.pairs import (
    Floats,
    ModelMeans,
    bootstrap_interval,
    compare_means,
    difference_estimate,
    mcnemar_of,
    score_estimate,
    span_of,
    within,
)
from flantune.evaluation.statistics.skill_scores import SKILL_MEASURES, SkillMeasure, skill_difference
from flantune.system.keyed_random import stream_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A benchmark's scored parts.

    Attributes:
        name: Benchmark and way of asking.
        is_whole: Whether all parts had data, and all of their examples were to be asked.
        confidence: Level of the intervals.
        seed: Seed of the bootstrap draws.
        fold: The fold of a run whose model is compared; empty in an evaluation.
    """

    name: str
    parts: tuple[ScoredExam, ...]
    is_whole: bool
    confidence: float
    seed: int
    fold: str = ""

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, the first model first."""
        return tuple(self.parts[0].result.scores)

    @property
    def column(self) -> MetricColumn:
        """The headline metric."""
        return self.parts[0].compared.column

    def ways(self, model: str) -> tuple[Weighting, ...]:
        """The ways of averaging for one model's answers, the headline first."""
        return _ways(self.parts, [one.exam.stands_for or len(one.tables[model].rows) for one in self.parts])

    def weighted(self, way: int = 0) -> list[WeightedExam]:
        """The parts in one way of averaging."""
        weights = {model: self.ways(model)[way].weights for model in self.models}
        return [
            WeightedExam(scored=one, weights={model: found[one.exam.name] for model, found in weights.items()})
            for one in self.parts
            if one.exam.name in weights[self.models[0]]
        ]


def benchmark_result(benchmark: Benchmark) -> BenchmarkResult:
    """A benchmark in the format of ``results.json``; its own false discovery rates are set when all are compared."""
    parts, first = benchmark.parts, benchmark.parts[0].result
    averages = tuple(_average(benchmark, at, way) for at, way in enumerate(benchmark.ways(benchmark.models[0])))
    return BenchmarkResult(
        name=benchmark.name,
        fold=benchmark.fold,
        metric=first.metric,
        protocol=first.protocol,
        shots=max(one.result.shots for one in parts),
        answers_each=first.answers_each,
        temperature=first.temperature,
        averages=averages,
        scores={model: _scores(benchmark, model) for model in benchmark.models},
        differences={model: _difference(benchmark, averages[0], model) for model in benchmark.models[1:]},
        parts=_rated_parts(benchmark),
        gaps=_mean_gaps(benchmark),
    )


def _average(benchmark: Benchmark, at: int, way: Weighting) -> Average:
    weighted = benchmark.weighted(at)
    return Average(
        name=way.name,
        examples=sum(one.scored.result.examples for one in weighted),
        **means_over(lambda _: weighted, confidence=benchmark.confidence),
    )


def _ways(parts: Sequence[ScoredExam], examples: Sequence[int]) -> tuple[Weighting, ...]:
    counted = [
        Weighed(name=one.exam.name, groups=one.exam.groups, questions=count)
        for one, count in zip(parts, examples, strict=True)
    ]
    return parts[0].exam.averages(counted)


def _rated_parts(benchmark: Benchmark) -> tuple[ExamResult, ...]:
    """The parts with false discovery rates: of those with q ≤ 0.05, one in twenty is expected not to have changed."""
    results = [one.result for one in benchmark.parts]
    rated = {
        model: with_rates([("parts", one.differences[model]) for one in results]) for model in benchmark.models[1:]
    }
    gaps = with_gap_rates([one.gaps for one in results])
    return tuple(
        one.model_copy(update={"differences": {model: found[at] for model, found in rated.items()}, "gaps": gaps[at]})
        for at, one in enumerate(results)
    )


def _mean_gaps(benchmark: Benchmark) -> tuple[Gap, ...]:
    """Gaps that all parts in the headline have, averaged like the headline."""
    weighted = benchmark.weighted()
    named = [{(gap.first, gap.second): gap for gap in one.scored.gaps} for one in weighted]
    common = [name for name in named[0] if all(name in gaps for gaps in named)] if len(named) > 1 else []
    return tuple(
        gap_result(
            mean_gap(
                [(one.weight, one.scored.exam.key, gaps[name]) for one, gaps in zip(weighted, named, strict=True)]
            ),
            confidence=benchmark.confidence,
        )
        for name in common
    )


# --- one model ------------------------------------------------------------------------------------------------------


def _scores(benchmark: Benchmark, model: str) -> BenchmarkScores:
    parts = [one.result.scores[model] for one in benchmark.parts]
    examples = sum(one.examples for one in parts)
    voted = [(one.vote_confidence, one.examples) for one in parts if one.vote_confidence is not None]
    agreed = sum(share * count for share, count in voted)
    ranked = [(one.exam.name, one.result.scores[model].skill) for one in benchmark.parts]
    return BenchmarkScores(
        examples=examples,
        unparsed=within(sum(one.unparsed * one.examples for one in parts) / examples),
        vote_confidence=within(agreed / sum(count for _, count in voted)) if voted else None,
        is_complete=benchmark.is_whole and not any(one.prompts_dropped for one in parts),
        seen=tuple(dict.fromkeys(reason for one in parts for reason in one.seen)),
        clean=_clean_alone(benchmark, model),
        clean_against_all=_alone_against_all(benchmark, model),
        other_metrics=_other_metrics(benchmark, model),
        ranked=sum(skill is not None for _, skill in ranked),
        collapsed=tuple(name for name, skill in ranked if skill and skill.answers.is_collapsed),
    )


def _clean_alone(benchmark: Benchmark, model: str) -> Estimate | None:
    """The headline without examples the model has seen; None if there are none, or nothing is left."""
    if not any(model in one.clean_alone for one in benchmark.parts):
        return None
    left: list[tuple[ScoredExam, int, ModelMeans]] = []
    for one in benchmark.parts:
        clean = one.clean_alone.get(model)
        if clean is None:
            left.append((one, one.result.scores[model].examples, one.compared.means))
        elif clean.means is not None:
            left.append((one, clean.examples, clean.means))
    mean = mean_of(_headline(left, (model,)), model)
    return None if mean is None else _score(benchmark, mean, benchmark.column, model)


def _alone_against_all(benchmark: Benchmark, model: str) -> Difference | None:
    """The headline without seen examples minus that on all; None if there are none, or a part has none left."""
    found = [(one, one.clean_alone.get(model)) for one in benchmark.parts]
    if not any(clean for _, clean in found) or any(clean and clean.means is None for _, clean in found):
        return None
    weights = benchmark.ways(model)[0].weights
    counts = [clean.examples if clean else len(one.tables[model].rows) for one, clean in found]
    clean_weights = _ways([one for one, _ in found], counts)[0].weights
    shares = [
        Share(task=one.exam.key, weight=clean_weights[one.exam.name], mean=clean.changes.scores[model])
        for one, clean in found
        if clean and clean.changes and one.exam.name in clean_weights
    ]
    shares += [
        Share(task=one.exam.key, weight=clean_weights[name] - weights[name], mean=one.compared.means.scores[model])
        for one, _ in found
        for name in [one.exam.name]
        if name in weights and abs(clean_weights[name] - weights[name]) > 1e-12
    ]
    if not shares:
        return None
    low, high = span_of(benchmark.column, *(one.tables[model] for one in benchmark.parts))
    return difference_estimate(combine(shares), confidence=benchmark.confidence, span=(low - high, high - low))


def _other_metrics(benchmark: Benchmark, model: str) -> dict[str, Estimate]:
    """Other metrics of all parts, and the headline under each normalization, averaged like the headline."""
    columns = [one.tables[model].columns for one in benchmark.parts]
    common = set.intersection(*({column.key for column in (*one.others, *one.variants)} for one in columns))
    named = {
        **{column.metric.name: column for column in columns[0].others},
        **{
            f"{column.metric.name}_{column.normalization}": column
            for column in columns[0].variants
            if column.normalization in NORMALIZATIONS
        },
    }
    counts = [len(one.tables[model].rows) for one in benchmark.parts]
    found = {}
    for name, column in named.items():
        if column.key not in common:
            continue
        means = []
        for one in benchmark.parts:  # its examples are redrawn as for the headline
            key = stream_key(benchmark.seed, "bootstrap", one.exam.key)
            means.append(
                compare_means({model: one.tables[model]}, {}, column, seed=key, confidence=benchmark.confidence)
            )
        each = [
            (one, count, compared.means) for one, count, compared in zip(benchmark.parts, counts, means, strict=True)
        ]
        mean = mean_of(_headline(each, (model,)), model)
        if mean is not None:
            found[name] = _score(benchmark, mean, column, model)
    return found


def _headline(each: Sequence[tuple[ScoredExam, int, ModelMeans]], models: Sequence[str]) -> list[Weighted]:
    """Parts with some of their examples and scores, weighted as for the headline."""
    if not each:
        return []
    way = _ways([one for one, _, _ in each], [count for _, count, _ in each])[0]
    return [
        Weighted(
            name=one.exam.name, key=one.exam.key, weights=dict.fromkeys(models, way.weights[one.exam.name]), means=means
        )
        for one, _, means in each
        if one.exam.name in way.weights
    ]


def _score(benchmark: Benchmark, mean: Mean, column: MetricColumn, model: str) -> Estimate:
    span = span_of(column, *(one.tables[model] for one in benchmark.parts))
    return score_estimate(mean, confidence=benchmark.confidence, span=span)


# --- two models -----------------------------------------------------------------------------------------------------


def _difference(benchmark: Benchmark, average: Means, model: str) -> PairedDifference:
    weighted, pairs = benchmark.weighted(), [one.pairs[model] for one in benchmark.parts]
    differences = [one.result.differences[model] for one in benchmark.parts]
    redrawn = sum(one.weight * one.scored.compared.replicates[model] for one in weighted)
    is_ranked = any(one.skill for one in differences)
    return paired_difference(
        average.raw.differences[model],
        bootstrap=bootstrap_interval(np.asarray(redrawn), confidence=benchmark.confidence),
        mcnemar_p=mcnemar_of(pairs, benchmark.column),
        examples=sum(one.examples for one in differences),
        rows_sha256=_sha256(differences),
        skill=skill_difference(_skill_changes(average, model)) if is_ranked else None,
        clean=_clean_pair(benchmark, model),
    )


def _skill_changes(average: Means, model: str) -> dict[SkillMeasure, Difference | None]:
    found = {measure: average.of(measure) for measure in SKILL_MEASURES}
    return {measure: None if one is None else one.differences.get(model) for measure, one in found.items()}


def _clean_pair(benchmark: Benchmark, model: str) -> CleanScores | None:
    """The first model and a later one without examples either has seen; None if some part was not checked."""
    found = [(one, one.clean.get(model)) for one in benchmark.parts]
    known = [(one, clean) for one, clean in found if clean is not None]
    if len(known) < len(found):
        return None
    left = [(one, clean) for one, clean in known if clean.examples]
    weights = benchmark.ways(benchmark.models[0])[0].weights
    clean_weights = _ways([one for one, _ in left], [clean.examples for _, clean in left])[0].weights if left else {}
    spans = [one.span for one in benchmark.parts]
    return clean_scores(
        [
            CleanPart(
                key=one.exam.key,
                weight=weights.get(one.exam.name, 0.0),
                clean_weight=clean_weights.get(one.exam.name, 0.0),
                every=one.compared.means,
                clean=clean,
            )
            for one, clean in known
        ],
        benchmark.models[0],
        model,
        span=(min(low for low, _ in spans), max(high for _, high in spans)),
        confidence=benchmark.confidence,
    )


def _sha256(differences: Sequence[PairedDifference]) -> str:
    """Identifies the examples of several parts."""
    return hashlib.sha256(" ".join(one.rows_sha256 for one in differences).encode()).hexdigest()


# --- averages over benchmarks ---------------------------------------------------------------------------------------


def normalized_average(
    name: str, wanted: Sequence[str], measured: Mapping[str, tuple[Benchmark, BenchmarkResult]], models: Sequence[str]
) -> NormalizedAverage:
    """The mean over benchmarks of their headlines, with each part rescaled from chance to perfect.

    Args:
        name: Its name.
        wanted: The benchmarks; if one is missing there is no average.
        measured: The measured benchmarks, by name.
        models: Names of the models.

    Paper: Flan 2022, section 2.3.
    """
    lacking = [one for one in wanted if one not in measured]
    if lacking:
        reason = f"not measured: {', '.join(lacking)}"
        return NormalizedAverage(
            name=name,
            benchmarks=tuple(wanted),
            scores=dict.fromkeys(models),
            reasons=dict.fromkeys(models, reason),
            differences={},
        )
    benchmarks = [measured[one] for one in wanted]
    confidence = benchmarks[0][0].confidence
    weighted = [
        WeightedExam(scored=one.scored, weights={model: w / len(wanted) for model, w in one.weights.items()})
        for benchmark, _ in benchmarks
        for one in benchmark.weighted()
    ]
    whole = contrast_of(weighted, "normalized", confidence=confidence)
    parts = [one.scored for one in weighted]
    return NormalizedAverage(
        name=name,
        benchmarks=tuple(wanted),
        scores={model: whole.scores[model] for model in models} if whole else dict.fromkeys(models),
        reasons={model: _incomplete([result for _, result in benchmarks], model) for model in models},
        differences={
            model: paired_difference(
                change,
                bootstrap=bootstrap_interval(_redrawn_above_chance(weighted, model), confidence=confidence),
                mcnemar_p=None,
                examples=sum(one.result.differences[model].examples for one in parts),
                rows_sha256=_sha256([one.result.differences[model] for one in parts]),
                skill=None,
                clean=None,
            )
            for model, change in (whole.differences.items() if whole else ())
        },
    )


def _incomplete(results: Sequence[BenchmarkResult], model: str) -> str:
    found = [one.name for one in results if not one.scores[model].is_complete]
    return f"not on all questions of {', '.join(found)}" if found else ""


def _redrawn_above_chance(weighted: Sequence[WeightedExam], model: str) -> Floats:
    """The difference on bootstrap replicates, as a share of the way from chance to perfect."""
    rooms = [(one, 1.0 - one.scored.result.chance) for one in weighted]
    redrawn = [one.scored.compared.replicates[model] * one.weight / room for one, room in rooms if room > 0.0]
    return np.asarray(sum(redrawn))
