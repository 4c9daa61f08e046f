"""From answers to scores: parts, their benchmark's means in every way they are reported, and the Flan 2022 average."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flantune.evaluation.exams import Exam
from flantune.evaluation.metrics.graders import Column
from flantune.evaluation.results import Estimate
from flantune.evaluation.statistics.averages import Weighed, Weighting
from flantune.evaluation.statistics.grades import Table, grade
from flantune.evaluation.statistics.means import (
    SCORE,
    Mean,
    above_chance,
    bootstrap_mean,
    clustered_mean,
    combine,
    resample,
    resampled_mean,
)
from flantune.evaluation.statistics.means import Part as Share
from flantune.evaluation.statistics.pairs import REPLICATES, estimate
from flantune.suites.flan2022 import SCORES as FLAN2022_SCORES
from flantune.suites.flan2022 import normalized_average
from flantune.system.keyed_random import stream_key

if TYPE_CHECKING:
    from flantune.evaluation.metrics.by_name import Metric
    from flantune.evaluation.statistics.skill import RankedOptions
    from flantune.types import Sample

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_ANY = (-float("inf"), float("inf"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PartScores:
    """One part, answered by one model and graded.

    Attributes:
        part: What was asked.
        rows: Row of each graded answer, in order.
        values: Metric → score of each answer, shape [rows]; not those that are no means over answers.
        notes: Metric that is none (BLEU, a class's F1) → what its score is made from, shape [rows, k].
        unparsed: Share of answers in which no answer was found.
        ties: Answers for which two options scored the same.
        rules: Rule → how many answers it read.
        confidence: The voted answers' mean share of the answers drawn; None without a vote.
        options: The scores of the options, label by label; None where answers were written.
    """

    part: Exam
    rows: tuple[int, ...]
    values: Mapping[str, Floats]
    unparsed: float
    ties: int
    rules: Mapping[str, int]
    confidence: float | None = None
    notes: Mapping[str, Floats] = field(default_factory=dict)
    options: RankedOptions | None = None

    @property
    def chance(self) -> float:
        """What guessing scores."""
        return self.part.chance or 0.0

    @property
    def headline(self) -> str:
        """The metric that stands for it."""
        return headline_of(self.part)

    def point(self, metric: str) -> float:
        """The part's score."""
        if metric in self.values:
            return float(self.values[metric].mean())
        return float(_score(self._corpus(metric), self.notes[metric], np.ones((1, len(self.rows))))[0])

    def span(self, metric: str) -> tuple[float, float]:
        """Lowest and highest score possible."""
        return SCORE if metric in self.values else self._corpus(metric).span

    def mean(self, metric: str, *, confidence: float) -> Mean:
        """The part's score with its standard error."""
        if metric in self.values:
            return clustered_mean(self.values[metric][:, None], span=SCORE, confidence=confidence)
        span = self.span(metric)
        return bootstrap_mean(self.resampled(metric), examples=len(self.rows), span=span, confidence=confidence)

    def resampled(self, metric: str, *, seed: int = 0) -> Floats:
        """The score as it is, then on bootstrap replicates of the questions, which are the same for all models."""
        key = stream_key(seed, "bootstrap", self.part.key)
        if metric in self.values:
            return resampled_mean(self.values[metric][:, None], replicates=REPLICATES, seed=key)
        corpus, notes = self._corpus(metric), self.notes[metric]
        return resample(
            lambda weights: _score(corpus, notes, weights),
            examples=len(notes),
            replicates=corpus.replicates or REPLICATES,
            seed=key,
        )

    def only(self, keep: Sequence[int] | Bools) -> PartScores:
        """The same of some of the answers, by place."""
        at = np.flatnonzero(keep) if isinstance(keep, np.ndarray) else np.array(keep, dtype=np.intp)
        return replace(
            self,
            rows=tuple(self.rows[place] for place in at),
            values={metric: values[at] for metric, values in self.values.items()},
            notes={metric: notes[at] for metric, notes in self.notes.items()},
            options=None if self.options is None else self.options.only(at),
        )

    def _corpus(self, metric: str) -> Metric:
        return metrics_of(self.part)[metric].metric


def _score(metric: Metric, notes: Floats, weights: Floats) -> Floats:
    if metric.score is None:
        raise TypeError(metric.name)
    return metric.score(notes, weights)


def headline_of(exam: Exam) -> str:
    """The metric that stands for an exam."""
    return exam.grader.columns.headline.metric.name


def metrics_of(exam: Exam) -> dict[str, Column]:
    """Every metric of an exam by the name it is reported under, the headline first."""
    columns = exam.grader.columns
    found = {column.metric.name: column for column in (columns.headline, *columns.others)}
    own = columns.headline.metric.name
    return found | {f"{own}_{column.normalization}": column for column in columns.variants[:4]}


def grade_part(exam: Exam, samples: Iterable[Sample]) -> PartScores:
    """Grades an exam's answers."""
    (table,) = grade(samples, exam.grader, chance=exam.chance).values()
    return of_table(exam, table)


def of_table(exam: Exam, table: Table) -> PartScores:
    """An exam of one template and number of exemplars, graded."""
    columns = metrics_of(exam)
    return PartScores(
        part=exam,
        rows=table.rows,
        values={name: table.cells(c)[:, 0, 0] for name, c in columns.items() if c.metric.score is None},
        notes={name: table.cells(c)[:, 0] for name, c in columns.items() if c.metric.score is not None},
        unparsed=table.unparsed,
        ties=table.ties,
        rules=table.rules,
        confidence=table.vote_confidence,
        options=table.options,
    )


def weightings(scores: Sequence[PartScores]) -> tuple[Weighting, ...]:
    """The ways to average the parts of one benchmark, the headline first."""
    weighed = [Weighed(name=one.part.name, groups=one.part.groups, questions=len(one.rows)) for one in scores]
    return scores[0].part.averages(weighed)


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
        Share(task=one.part.key, weight=weight, mean=above_chance(mean, one.chance)) for weight, one, mean in means
    )
    return Averaged(
        raw=estimate(raw, confidence=confidence, span=scores[0].span(metric)),
        normalized=estimate(above, confidence=confidence, span=(_ANY[0], 1.0)),
        chance=sum(weight * one.chance for weight, one in chosen),
    )


def flan2022_average(by_score: Mapping[str, Sequence[PartScores]], *, confidence: float) -> Estimate:
    """The normalized average of six scores with its interval.

    Paper: Flan 2022, section 2.3.

    Raises:
        EvaluationError: One of the six was not measured.
    """
    headlines = {name: weightings(by_score[name])[0] for name in FLAN2022_SCORES if by_score.get(name)}
    tasks = {
        name: {one.part.name: one.point(one.headline) for one in by_score[name] if one.part.name in headline.weights}
        for name, headline in headlines.items()
    }
    value = normalized_average({}, tasks=tasks)
    shares = [
        Share(
            task=one.part.key,
            weight=headline.weights[one.part.name] / len(FLAN2022_SCORES),
            mean=above_chance(one.mean(one.headline, confidence=confidence), one.chance),
        )
        for name, headline in headlines.items()
        for one in by_score[name]
        if one.part.name in headline.weights
    ]
    mean = combine(shares)
    return estimate(replace(mean, value=value), confidence=confidence, span=(_ANY[0], 1.0))


def by_score(scores: Iterable[PartScores]) -> dict[str, list[PartScores]]:
    """The parts of each benchmark and way of asking."""
    found: dict[str, list[PartScores]] = {}
    for one in scores:
        found.setdefault(one.part.score, []).append(one)
    return found
