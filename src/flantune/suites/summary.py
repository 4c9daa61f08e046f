"""Graded parts as entries of ``results.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from flantune.evaluation.results import Estimate
from flantune.evaluation.statistics.means import SCORE
from flantune.evaluation.statistics.pairs import estimate
from flantune.evaluation.statistics.skill_scores import model_skill
from flantune.suites import results
from flantune.suites.flan2022 import SCORES as FLAN2022_SCORES
from flantune.suites.scores import PartScores, average, flan2022_average, headline_of, metrics_of, weightings
from flantune.suites.skill import average_skill

if TYPE_CHECKING:
    from flantune.contamination.training_record import Seen
    from flantune.evaluation.exams import MissingExam
    from flantune.settings.protocols import ScoringProtocol
    from flantune.types import Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One part, asked and graded, with what is known of how.

    Attributes:
        scores: Its grades.
        counts: What happened to its prompts.
        seen: Why it was not new to the model.
    """

    scores: PartScores
    counts: Counts
    seen: Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMeasurements:
    """All parts one model was asked, by score, with how it was asked.

    Attributes:
        name: The model's.
        by_score: Score → its parts.
        protocols: Score → how options are scored.
        drawn: Score → answers drawn to each question, and the temperature; one greedy answer where nothing is said.
    """

    name: str
    by_score: Mapping[str, Sequence[Measurement]]
    protocols: Mapping[str, ScoringProtocol]
    drawn: Mapping[str, tuple[int, float]] = field(default_factory=dict)


def score_results(
    model: ModelMeasurements, *, missing: Sequence[MissingExam], limit: int, confidence: float
) -> list[results.ScoreResult]:
    """A model's benchmarks."""
    lacking = {one.score for one in missing}
    return [
        _score_result(model, score, parts, is_complete=not limit and score not in lacking, confidence=confidence)
        for score, parts in model.by_score.items()
    ]


def _score_result(
    model: ModelMeasurements, score: str, parts: Sequence[Measurement], *, is_complete: bool, confidence: float
) -> results.ScoreResult:
    graded = [one.scores for one in parts]
    metric, *others = _metrics(graded)
    ways = weightings(graded)
    questions = sum(len(one.rows) for one in graded)
    return results.ScoreResult(
        score=score,
        model=model.name,
        metric=metric,
        protocol=model.protocols[score].fingerprint,
        shots=max(question.shots for one in graded for question in one.part.questions),
        questions=questions,
        unparsed=sum(one.unparsed * len(one.rows) for one in graded) / questions,
        averages=tuple(
            results.Average(
                name=way.name,
                raw=found.raw,
                normalized=found.normalized,
                chance=_share(found.chance),
                questions=sum(len(one.rows) for one in graded if one.part.name in way.weights),
            )
            for way in ways
            for found in [average(graded, way, metric=metric, confidence=confidence)]
        ),
        other_metrics={name: average(graded, ways[0], metric=name, confidence=confidence).raw for name in others},
        is_complete=is_complete and not any(one.counts.prompts_dropped for one in parts),
        seen=tuple(dict.fromkeys(reason for one in parts for reason in one.seen.reasons)),
        clean=_clean(parts, metric=metric, confidence=confidence),
        parts=tuple(_part_result(one, confidence=confidence) for one in parts),
        answers=model.drawn.get(score, (1, 0.0))[0],
        temperature=model.drawn.get(score, (1, 0.0))[1],
        vote_confidence=_mean_confidence(graded),
        skill=average_skill(graded, ways[0].weights, confidence=confidence),
    )


def _mean_confidence(graded: Sequence[PartScores]) -> float | None:
    """Over all questions of a benchmark; None without a vote."""
    voted = [(one.confidence, len(one.rows)) for one in graded if one.confidence is not None]
    return _share(sum(c * n for c, n in voted) / sum(n for _, n in voted)) if voted else None


def _metrics(graded: Sequence[PartScores]) -> list[str]:
    """What all parts are scored by, the headline first."""
    first, *others = (metrics_of(one.part) for one in graded)
    return [name for name in first if all(name in other for other in others)]


def _part_result(one: Measurement, *, confidence: float) -> results.PartResult:
    graded = one.scores
    means = {name: _within(graded.point(name), graded.span(name)) for name in metrics_of(graded.part)}
    metric, skill = headline_of(graded.part), model_skill(graded.options)
    headline = estimate(graded.mean(metric, confidence=confidence), confidence=confidence, span=graded.span(metric))
    return results.PartResult(
        name=graded.part.name,
        groups=graded.part.groups,
        value=means[metric],
        low=headline.low,
        high=headline.high,
        metrics=means,
        chance=_share(graded.part.chance or 0.0),
        questions=len(graded.rows),
        unparsed=_share(graded.unparsed),
        ties=graded.ties,
        rules=dict(graded.rules),
        exemplars_dropped=one.counts.exemplars_dropped,
        inputs_shortened=one.counts.inputs_shortened,
        prompts_dropped=one.counts.prompts_dropped,
        seen_rows=int(_seen_rows(one).sum()),
        notes=graded.part.notes,
        vote_confidence=None if graded.confidence is None else _share(graded.confidence),
        skill=skill.result(confidence=confidence) if skill else None,
    )


def _seen_rows(one: Measurement) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which graded answers are to questions that were seen."""
    if one.seen.rows is None:
        return np.zeros(len(one.scores.rows), dtype=np.bool_)
    return np.array([row in one.seen.rows for row in one.scores.rows], dtype=np.bool_)


def _clean(parts: Sequence[Measurement], *, metric: str, confidence: float) -> Estimate | None:
    """The headline without the questions that were seen; None when none was, or nothing is left."""
    flags = [_seen_rows(one) for one in parts]
    if not any(flag.any() for flag in flags):
        return None
    left = [one.scores.only(~flag) for one, flag in zip(parts, flags, strict=True) if not flag.all()]
    return average(left, weightings(left)[0], metric=metric, confidence=confidence).raw if left else None


def flan2022_result(
    model: ModelMeasurements, scored: Sequence[results.ScoreResult], *, confidence: float
) -> results.Flan2022:
    """The normalized average, or why there is none."""
    measured = {one.score: one for one in scored}
    lacking = [name for name in FLAN2022_SCORES if name not in measured]
    if lacking:
        return results.Flan2022(model=model.name, average=None, reason=f"not measured: {', '.join(lacking)}")
    incomplete = [name for name in FLAN2022_SCORES if not measured[name].is_complete]
    graded = {name: [one.scores for one in model.by_score[name]] for name in FLAN2022_SCORES}
    reason = f"not on all questions of {', '.join(incomplete)}" if incomplete else ""
    return results.Flan2022(model=model.name, average=flan2022_average(graded, confidence=confidence), reason=reason)


def _share(value: float) -> float:
    return _within(value, SCORE)


def _within(value: float, span: tuple[float, float]) -> float:
    # Sums of floats can pass an end by a rounding error.
    return min(max(value, span[0]), span[1])
