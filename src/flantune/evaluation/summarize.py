"""From graded answers to results, for a run or an evaluation of any number of models. No model, no torch."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from flantune.evaluation.benchmarks import Benchmark, benchmark_result, normalized_average
from flantune.evaluation.exam_result import ExamResult
from flantune.evaluation.results import (
    SCHEMA,
    BenchmarkResult,
    ClusterResult,
    MeasuredModel,
    Missing,
    OverallResult,
    Results,
    TrustedCode,
    Verdict,
)
from flantune.evaluation.scored import ScoredExam, Sitting, score_sitting
from flantune.evaluation.statistics.discovery_rates import with_rates
from flantune.evaluation.unseen import Cluster, cluster_result, clusters_of, overall_result, verdict_on
from flantune.evaluation.verdict import no_verdict, trained_verdict
from flantune.settings.protocols import ScoringProtocol


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What was measured, and how, besides the answers themselves.

    Attributes:
        kind: A model before and after tuning, fold by fold, or any models.
        models: The models; the first is the one that all others are compared with.
        protocols: The ways in which options were scored.
        confidence: Level of the intervals.
        seed: Seed of all draws.
        name: Title of the run.
        held_out: Fold of a run → the clusters it held out; None: every cluster of the tasks counts.
        shots: Numbers of exemplars of tasks, the headline first; none: those that they were asked with.
        limit: The largest number of examples asked of each part; 0: all.
        answer_parsing: How generated answers of tasks are cut before they are scored.
        averages: Requested averages over benchmarks: name → the benchmarks.
        missing: What was not measured for lack of data.
        trusted_code: Python code of task files that was run.
        seconds: Time spent asking.
    """

    kind: Literal["run", "evaluation"]
    models: tuple[MeasuredModel, ...]
    protocols: tuple[ScoringProtocol, ...]
    confidence: float
    seed: int
    name: str = ""
    held_out: Mapping[str, Sequence[str]] | None = None
    shots: tuple[int, ...] = ()
    limit: int = 0
    answer_parsing: str = "none"
    averages: Mapping[str, Sequence[str]] = field(default_factory=dict)
    missing: tuple[Missing, ...] = ()
    trusted_code: tuple[TrustedCode, ...] = ()
    seconds: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """The models' names, each once."""
        return tuple(dict.fromkeys(one.name for one in self.models))


def summarize(sittings: Iterable[Sitting], about: About) -> Results:
    """All results of graded answers, in the format of ``results.json``.

    Tasks are averaged into clusters, clusters into the overall score, parts into benchmarks. A pure function of its
    arguments; tasks are processed one after another, so that they can be read from disk as needed.

    Raises:
        EvaluationError: Models were asked different prompts, or not with the requested exemplars.
    """
    scored = [one for sitting in sittings for one in _scored(sitting, about)]
    parts = [one for one in scored if one.exam.score]
    benchmarks = [(one, benchmark_result(one)) for one in _benchmarks(parts, about)]
    measured = {one.name: (one, result) for one, result in benchmarks}
    whole = [result for _, result in benchmarks]
    tasks, rated = _rated([one for one in scored if not one.exam.score], whole, about)
    shots = tuple(dict.fromkeys(about.shots or (one.result.shots for one in tasks)))
    clusters = clusters_of(tasks, about.held_out, shots=shots)
    pairs = [(one, cluster_result(one, confidence=about.confidence)) for one in clusters]
    overall = {
        number: overall_result(alike, confidence=about.confidence)
        for number in shots
        for alike in [[one for one in clusters if one.shots == number]]
        if alike
    }
    return Results(
        schema=SCHEMA,
        kind=about.kind,
        name=about.name,
        confidence=about.confidence,
        seed=about.seed,
        limit=about.limit,
        answer_parsing=about.answer_parsing,
        is_reportable=about.kind == "run" or _is_reportable(tasks, rated, about),
        protocols={protocol.fingerprint: protocol.to_json() for protocol in about.protocols},
        models=about.models,
        verdicts=_verdicts(tasks, pairs, overall, shots, about) if tasks or about.kind == "run" else {},
        overall=tuple(overall.values()),
        clusters=tuple(found for _, found in pairs),
        tasks=tuple(one.result for one in tasks),
        benchmarks=tuple(rated),
        normalized_averages=tuple(
            normalized_average(name, wanted, measured, about.names) for name, wanted in about.averages.items()
        ),
        missing=about.missing,
        trusted_code=about.trusted_code,
        seconds=about.seconds,
    )


def _scored(sitting: Sitting, about: About) -> Iterator[ScoredExam]:
    shots = () if sitting.graded[0].exam.score else about.shots
    return score_sitting(sitting, confidence=about.confidence, seed=about.seed, shots=shots)


def _benchmarks(parts: Sequence[ScoredExam], about: About) -> Iterator[Benchmark]:
    by_score: dict[tuple[str, str], list[ScoredExam]] = {}
    for part in parts:
        by_score.setdefault((part.result.fold, part.exam.score), []).append(part)
    lacking = {one.score for one in about.missing}
    for (fold, name), found in by_score.items():
        yield Benchmark(
            name=name,
            fold=fold,
            parts=tuple(found),
            is_whole=not about.limit and name not in lacking,
            confidence=about.confidence,
            seed=about.seed,
        )


def _rated(
    tasks: Sequence[ScoredExam], benchmarks: Sequence[BenchmarkResult], about: About
) -> tuple[list[ScoredExam], list[BenchmarkResult]]:
    """Tasks and benchmarks with the false discovery rates of their differences.

    In a run, all seen tasks, all unseen tasks (of all folds, by number of exemplars) and all benchmarks are families;
    in an evaluation, everything that the same two models were compared on and had not seen.
    """
    results: list[ExamResult | BenchmarkResult] = [*(one.result for one in tasks), *benchmarks]
    found = [
        (_family(one, model, about), difference) for one in results for model, difference in one.differences.items()
    ]
    rated = iter(with_rates(found))
    filled = [
        one.model_copy(update={"differences": {model: next(rated) for model in one.differences}}) for one in results
    ]
    kept = [one for one in filled if isinstance(one, ExamResult)]
    return (
        [replace(task, result=result) for task, result in zip(tasks, kept, strict=True)],
        [one for one in filled if isinstance(one, BenchmarkResult)],
    )


def _family(one: ExamResult | BenchmarkResult, model: str, about: About) -> Hashable | None:
    seen = [name for name in (about.names[0], model) if one.scores[name].seen]
    if about.kind == "run":
        return (bool(seen), one.shots) if isinstance(one, ExamResult) else (bool(seen), "benchmarks")
    return None if seen else model


def _is_reportable(tasks: Sequence[ScoredExam], benchmarks: Sequence[BenchmarkResult], about: About) -> bool:
    is_seen = any(one.result.is_seen for one in tasks) or any(one.is_seen for one in benchmarks)
    return not (about.limit or about.missing or is_seen)


def _verdicts(
    tasks: Sequence[ScoredExam],
    clusters: Sequence[tuple[Cluster, ClusterResult]],
    overall: Mapping[int, OverallResult],
    shots: Sequence[int],
    about: About,
) -> dict[str, Verdict]:
    """Later model → the verdict at the first number of exemplars."""
    is_run, headline = about.kind == "run", next(iter(shots), 0)
    if headline not in overall:
        if is_run and (trained := [one.result for one in tasks if one.result.shots == headline]):
            return {name: _on_trained(trained, name, confidence=about.confidence) for name in about.names[1:]}
        return {name: no_verdict(shots=headline, is_run=is_run) for name in about.names[1:]}
    asked = [one for one in tasks if one.result.shots == headline]
    held_out = [one for one in clusters if one[0].shots == headline]
    return {
        name: verdict_on(asked, held_out, overall[headline], name, confidence=about.confidence, is_run=is_run)
        for name in about.names[1:]
    }


def _on_trained(tasks: Sequence[ExamResult], model: str, *, confidence: float) -> Verdict:
    """The verdict if every measured task was trained on."""
    several = len({one.fold for one in tasks}) > 1
    differences = {f"{one.name} ({one.fold})" if several else one.name: one.differences[model] for one in tasks}
    return trained_verdict(differences, confidence=confidence, shots=tasks[0].shots)
