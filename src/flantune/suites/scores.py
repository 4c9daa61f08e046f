"""From answers to scores: parts, their benchmark's means in every way they are reported, and the Flan 2022 average."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flantune.errors import EvaluationError
from flantune.evaluation.comparison import estimate
from flantune.evaluation.normalized_average import SCORES as FLAN2022_SCORES
from flantune.evaluation.normalized_average import normalized_average
from flantune.evaluation.results import Estimate
from flantune.evaluation.statistics import (
    DIFFERENCE,
    SCORE,
    Mean,
    above_chance,
    clustered_mean,
    combine,
    mcnemar_p,
)
from flantune.evaluation.statistics import Part as Share
from flantune.suites.suite import Part

if TYPE_CHECKING:
    from flantune.evaluation.presets import ScoringProtocol
    from flantune.suites.grading import Grade
    from flantune.types import Sample

Floats = NDArray[np.float64]

_ANY = (-float("inf"), float("inf"))
_SIZES = ("_three_objects", "_five_objects", "_seven_objects")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartScores:
    """One part, answered by one model and graded.

    Attributes:
        part: What was asked.
        rows: Row of each graded answer, in order.
        values: Metric → score of each answer, shape [rows].
        unparsed: Share of answers in which no answer was found.
        ties: Answers for which two options scored the same.
        rules: Rule → how many answers it read.
        confidence: The voted answers' mean share of the answers drawn; None without a vote.
    """

    part: Part
    rows: tuple[int, ...]
    values: Mapping[str, Floats]
    unparsed: float
    ties: int
    rules: Mapping[str, int]
    confidence: float | None = None

    def mean(self, metric: str, *, confidence: float) -> Mean:
        """The part's mean of a metric."""
        return clustered_mean(self.values[metric][:, None], span=SCORE, confidence=confidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighting:
    """One way to average a benchmark's parts.

    Attributes:
        name: What it is called.
        weights: Part → weight; they sum to one.
        is_headline: The way the papers report.
    """

    name: str
    weights: Mapping[str, float]
    is_headline: bool = False


def grade_part(part: Part, samples: Sequence[Sample], protocol: ScoringProtocol) -> PartScores:
    """Grades a part's answers."""
    grades: list[Grade] = [part.grader.grade(sample, protocol) for sample in samples]
    rules: dict[str, int] = {}
    for grade in grades:
        rules[grade.rule or "none"] = rules.get(grade.rule or "none", 0) + 1
    votes = [sample.confidence for sample in samples if sample.confidence is not None]
    return PartScores(
        part=part,
        rows=tuple(sample.row for sample in samples),
        values={
            metric: np.array([grade.metrics[metric] for grade in grades], dtype=np.float64)
            for metric in part.grader.metrics
        },
        unparsed=sum(grade.answer is None for grade in grades) / max(len(grades), 1),
        ties=sum(grade.is_tie for grade in grades),
        rules=rules,
        confidence=sum(votes) / len(votes) if votes else None,
    )


def weightings(scores: Sequence[PartScores]) -> tuple[Weighting, ...]:
    """The ways to average the parts of one benchmark, the headline first.

    Papers differ: MMLU's own script pools all questions, Flan 2022 takes the mean of 57 subjects; BBH is averaged over
    23 tasks, 27 files or 6,511 questions. A number without its weighting cannot be compared.
    """
    suite = scores[0].part.suite
    names = [one.part.name for one in scores]
    rows = {one.part.name: len(one.rows) for one in scores}
    every = Weighting(name=f"mean of {len(names)} {_NOUNS.get(suite, 'tasks')}", weights=_even(names))
    micro = Weighting(name="all questions", weights={name: rows[name] / sum(rows.values()) for name in names})
    if suite == "bbh":
        found = [_bbh_tasks(names), every, micro]
    elif suite in {"tydiqa", "mgsm"}:
        others = [one.part.name for one in scores if "not English" in one.part.groups]
        found = (
            [Weighting(name=f"mean of {len(others)} languages, not English", weights=_even(others))] if others else []
        )
        found += [every] if len(others) < len(names) else []
        found.append(micro)
    elif suite == "harness":
        found = [micro, every] if len(names) > 1 else [micro]
    else:
        found = [every, *_groups(scores), micro] if len(names) > 1 else [micro]
    first, *rest = found
    return (Weighting(name=first.name, weights=first.weights, is_headline=True), *rest)


_NOUNS = {"mmlu": "subjects", "bbh": "files", "tydiqa": "languages", "mgsm": "languages"}


def _even(names: Sequence[str]) -> dict[str, float]:
    return dict.fromkeys(names, 1.0 / len(names))


def _bbh_tasks(names: Sequence[str]) -> Weighting:
    tasks = {name: next((name.removesuffix(s) for s in _SIZES if name.endswith(s)), name) for name in names}
    files = {task: sum(other == task for other in tasks.values()) for task in tasks.values()}
    weights = {name: 1.0 / (len(files) * files[task]) for name, task in tasks.items()}
    return Weighting(name=f"mean of {len(files)} tasks", weights=weights)


def _groups(scores: Sequence[PartScores]) -> list[Weighting]:
    groups: dict[str, list[str]] = {}
    for one in scores:
        for group in one.part.groups:
            groups.setdefault(group, []).append(one.part.name)
    return [Weighting(name=group, weights=_even(names)) for group, names in sorted(groups.items())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Averaged:
    """A benchmark averaged in one way.

    Attributes:
        raw: The mean.
        normalized: The mean of the parts' shares of the way from chance to perfect.
        chance: What guessing scores.
    """

    raw: Estimate
    normalized: Estimate
    chance: float


def average(scores: Sequence[PartScores], weighting: Weighting, *, metric: str, confidence: float) -> Averaged:
    """A benchmark's mean in one way of weighting, with its interval; parts are held fixed."""
    chosen = [(weighting.weights[one.part.name], one) for one in scores if one.part.name in weighting.weights]
    means = [(weight, one, one.mean(metric, confidence=confidence)) for weight, one in chosen]
    raw = combine(Share(task=one.part.key, weight=weight, mean=mean) for weight, one, mean in means)
    above = combine(
        Share(task=one.part.key, weight=weight, mean=above_chance(mean, one.part.chance)) for weight, one, mean in means
    )
    return Averaged(
        raw=estimate(raw, confidence=confidence, span=SCORE),
        normalized=estimate(above, confidence=confidence, span=(_ANY[0], 1.0)),
        chance=sum(weight * one.part.chance for weight, one in chosen),
    )


def flan2022_average(by_score: Mapping[str, Sequence[PartScores]], *, confidence: float) -> Estimate:
    """The normalized average of six scores with its interval.

    Paper: Flan 2022, section 2.3.

    Raises:
        EvaluationError: One of the six was not measured.
    """
    headlines = {name: weightings(by_score[name])[0] for name in FLAN2022_SCORES if by_score.get(name)}
    tasks = {
        name: {
            one.part.name: float(one.values[one.part.headline].mean())
            for one in by_score[name]
            if one.part.name in headline.weights
        }
        for name, headline in headlines.items()
    }
    value = normalized_average({}, tasks=tasks)
    shares = [
        Share(
            task=one.part.key,
            weight=headline.weights[one.part.name] / len(FLAN2022_SCORES),
            mean=above_chance(one.mean(one.part.headline, confidence=confidence), one.part.chance),
        )
        for name, headline in headlines.items()
        for one in by_score[name]
        if one.part.name in headline.weights
    ]
    mean = combine(shares)
    return estimate(Mean(value=value, se=mean.se, df=mean.df), confidence=confidence, span=(_ANY[0], 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One benchmark, two models, the same questions.

    Attributes:
        difference: Second minus first in the headline's weighting.
        mcnemar_p: Exact McNemar p-value over all questions; None for metrics that are not right-or-wrong.
        rows: Questions both were asked.
    """

    difference: Estimate
    mcnemar_p: float | None
    rows: int


def compare(first: Sequence[PartScores], second: Sequence[PartScores], *, metric: str, confidence: float) -> Compared:
    """The paired difference of two models on the questions both answered.

    Raises:
        EvaluationError: They share no question of some part.
    """
    others = {one.part.name: one for one in second}
    weighting = weightings(first)[0]
    shares, befores, afters = [], [], []
    for one in first:
        before, after = _paired(one, others.get(one.part.name), metric)
        befores.append(before)
        afters.append(after)
        if weight := weighting.weights.get(one.part.name, 0.0):
            mean = clustered_mean((after - before)[:, None], span=DIFFERENCE, confidence=confidence)
            shares.append(Share(task=one.part.key, weight=weight, mean=mean))
    before, after = np.concatenate(befores), np.concatenate(afters)
    is_binary = bool(np.isin(before, (0.0, 1.0)).all() and np.isin(after, (0.0, 1.0)).all())
    return Compared(
        difference=estimate(combine(shares), confidence=confidence, span=DIFFERENCE),
        mcnemar_p=mcnemar_p(before[:, None], after[:, None]) if is_binary else None,
        rows=len(before),
    )


def _paired(first: PartScores, second: PartScores | None, metric: str) -> tuple[Floats, Floats]:
    common = sorted(set(first.rows) & set(second.rows if second else ()))
    if second is None or not common:
        hint = "evaluate them with the same data, shots and limit"
        raise EvaluationError("the two models answered no question in common", where=first.part.key, hint=hint)
    places = [{row: at for at, row in enumerate(one.rows)} for one in (first, second)]
    before, after = (
        one.values[metric][[place[row] for row in common]] for one, place in zip((first, second), places, strict=True)
    )
    return before, after


def by_score(scores: Iterable[PartScores]) -> dict[str, list[PartScores]]:
    """The parts of each benchmark and way of asking."""
    found: dict[str, list[PartScores]] = {}
    for one in scores:
        found.setdefault(one.part.score, []).append(one)
    return found
